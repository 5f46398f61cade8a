//! The engine behind a boundary that only numbers cross.
//!
//! JavaScript parses frames, keeps payloads and calls handlers; this side decides. One instance of
//! the module is one client, so the exports take no handle. Times and positions travel as `f64`
//! (integers up to 2⁵³ are exact), everything else as 32 bits; `-1` stands for "none".
//!
//! After any call, JavaScript drains [`poll`] and re-arms its one timer for [`next_timeout`]; after
//! [`message`] only if its answer has the [`bits::POLL`] bit.
#![cfg_attr(target_arch = "wasm32", no_std)]

mod exports;
mod instance;
mod numbers;
mod output;
mod reason;
mod state;
mod streams;
mod tabs;

pub use exports::*;
pub use state::*;
pub use streams::*;

/// What [`message`] answers, added up.
pub mod bits {
    /// Call the handlers now.
    pub const DELIVER: u32 = 1;
    /// Keep the message: a handler may come.
    pub const PARK: u32 = 2;
    /// It was in the mailbox before this connection asked.
    pub const REPLAYED: u32 = 4;
    /// Drain [`crate::poll`] and look at [`crate::next_timeout`] again.
    pub const POLL: u32 = 8;
    /// It is new, and nobody handles it: it counts as handled.
    pub const UNHANDLED: u32 = 16;
    /// It is where this page stands now: its number is what [`crate::position_id`] answers.
    pub const REACHED: u32 = 32;
}

// SAFETY: an instance of a WebAssembly module without the atomics proposal has one thread.
#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "see the SAFETY comment")]
#[global_allocator]
static ALLOCATOR: lol_alloc::AssumeSingleThreaded<lol_alloc::FreeListAllocator> =
    unsafe { lol_alloc::AssumeSingleThreaded::new(lol_alloc::FreeListAllocator::new()) };

#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // A panic is a bug of ours; the trap reaches JavaScript as a `RuntimeError` with a stack.
    core::arch::wasm32::unreachable()
}
