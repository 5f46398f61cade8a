use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

/// Work that goes on by itself when whoever began it does not wait any more: what is stored has to be
/// told to whoever is connected.
pub(crate) struct ToTheEnd<T: Send + 'static>(Work<T>);

enum Work<T> {
    New(BoxFuture<'static, T>),
    Begun(BoxFuture<'static, T>),
    Over,
}

impl<T: Send + 'static> ToTheEnd<T> {
    pub(crate) fn of(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Work::New(Box::pin(work)))
    }
}

impl<T: Send + 'static> Future for ToTheEnd<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let (Work::New(mut work) | Work::Begun(mut work)) =
            std::mem::replace(&mut self.0, Work::Over)
        else {
            unreachable!("nobody asks again for what was answered")
        };
        let done = work.as_mut().poll(context);
        if done.is_pending() {
            self.0 = Work::Begun(work);
        }
        done
    }
}

impl<T: Send + 'static> Drop for ToTheEnd<T> {
    fn drop(&mut self) {
        if let Work::Begun(work) = std::mem::replace(&mut self.0, Work::Over)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_was_begun_is_finished_though_nobody_waits() {
        let (go, gone) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        let work = ToTheEnd::of(async move {
            gone.await.unwrap();
            done.send("done").unwrap();
        });
        assert!(work.now_or_never().is_none());
        go.send(()).unwrap();
        assert_eq!(is_done.await, Ok("done"));
    }

    #[tokio::test]
    async fn what_was_never_begun_is_not_done() {
        let (done, is_done) = oneshot::channel::<()>();
        drop(ToTheEnd::of(async move { done.send(()) }));
        assert!(is_done.await.is_err());
    }
}
