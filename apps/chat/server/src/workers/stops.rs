//! How a stop reaches the answer that is being written.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// The jobs that are being worked on, and how each hears that it is to stop.
#[derive(Default)]
pub(crate) struct Stops {
    jobs: Mutex<HashMap<i64, Arc<Notify>>>,
}

/// A job's place among them, given back when the job is done.
pub(super) struct Listening {
    stops: Arc<Stops>,
    job: i64,
    told: Arc<Notify>,
}

impl Stops {
    /// Tells a job to stop, if it is being worked on.
    pub(crate) fn stop(&self, job: i64) {
        if let Some(told) = self.jobs().get(&job) {
            // It keeps for a job that is not listening just now.
            told.notify_one();
        }
    }

    /// From here on, [`Stops::stop`] reaches the job. What was committed before is in its row.
    pub(super) fn listen(self: &Arc<Self>, job: i64) -> Listening {
        let told = Arc::new(Notify::new());
        self.jobs().insert(job, Arc::clone(&told));
        Listening { stops: Arc::clone(self), job, told }
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<i64, Arc<Notify>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listening {
    pub(super) async fn told(&self) {
        self.told.notified().await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stops.jobs().remove(&self.job);
    }
}
