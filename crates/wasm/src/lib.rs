//! The engine behind a boundary that only numbers cross.
//!
//! JavaScript parses frames, keeps payloads and calls handlers; this side decides. One instance of
//! the module is one client, so the exports take no handle. Times and positions travel as `f64`
//! (integers up to 2⁵³ are exact), everything else as 32 bits; `-1` stands for "none".
//!
//! After any call, JavaScript drains [`poll`] and re-arms its one timer for [`next_timeout`]; after
//! [`message`] only if its answer has the [`codes::delivery::POLL`] bit.
#![cfg_attr(target_arch = "wasm32", no_std)]

pub mod codes;
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
