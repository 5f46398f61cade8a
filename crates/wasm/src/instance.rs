//! The one engine of this instance.

use core::cell::RefCell;

use tetherline_engine::{Engine, Instant};

/// The engine, and what the last polled output said besides its kind.
pub(crate) struct Instance {
    pub(crate) engine: Engine<()>,
    pub(crate) arguments: [u64; 4],
    pub(crate) timeout: Option<Instant>,
}

struct Cell(RefCell<Option<Instance>>);

// SAFETY: an instance of a WebAssembly module without the atomics proposal has one thread, so
// nothing is ever shared. (On other targets this crate is only compiled for its checks and tests,
// which use it from one thread.)
#[expect(unsafe_code, reason = "see the SAFETY comment")]
unsafe impl Sync for Cell {}

static INSTANCE: Cell = Cell(RefCell::new(None));

pub(crate) fn create(seed: u64) {
    INSTANCE.0.replace(Some(Instance {
        engine: Engine::new(seed),
        arguments: [0; 4],
        timeout: None,
    }));
}

/// Runs `action` on the engine. Traps before `init`, and when JavaScript calls in from within a
/// call: both are bugs of the driver that ships with this module.
pub(crate) fn with<T>(action: impl FnOnce(&mut Instance) -> T) -> T {
    match INSTANCE.0.borrow_mut().as_mut() {
        Some(instance) => action(instance),
        None => panic!("init comes first"),
    }
}
