//! Jobs are woken one by one, and dropped at once.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::oneshot;

use super::jobs::Jobs;

/// Counts how often the task is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

type Work = Pin<Box<dyn Future<Output = u32> + Send>>;

/// A job that counts how often it is looked at and ends with what it is sent.
fn job(polls: &Arc<AtomicUsize>) -> (oneshot::Sender<u32>, Work) {
    let (end, mut ended) = oneshot::channel();
    let polls = Arc::clone(polls);
    let work = std::future::poll_fn(move |cx| {
        polls.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut ended).poll(cx).map(|value| value.unwrap_or(0))
    });
    (end, Box::pin(work))
}

#[test]
fn a_wake_of_one_looks_at_that_one_only() {
    let (count, polls) = (Arc::new(Count::default()), Arc::new(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    let mut jobs = Jobs::new();
    let mut ends = Vec::new();
    for number in 0..100 {
        let (end, work) = job(&polls);
        jobs.start(number, work);
        ends.push(end);
    }
    assert_eq!(jobs.poll_next(&mut cx), Poll::Pending);
    assert_eq!(polls.load(Ordering::Relaxed), 100);
    ends.remove(42).send(7).unwrap();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(jobs.poll_next(&mut cx), Poll::Ready((42, 7)));
    assert_eq!(jobs.poll_next(&mut cx), Poll::Pending);
    assert_eq!(polls.load(Ordering::Relaxed), 101);
}

#[test]
fn a_dropped_job_is_gone_at_once_and_its_wakes_are_nobodys() {
    let polls = Arc::new(AtomicUsize::new(0));
    let mut cx = Context::from_waker(Waker::noop());
    let mut jobs = Jobs::new();
    let (end, work) = job(&polls);
    jobs.start(1, work);
    assert_eq!(jobs.poll_next(&mut cx), Poll::Pending);
    jobs.drop(1);
    assert!(jobs.is_empty());
    assert!(end.is_closed(), "what the job held is dropped");
    let (end, work) = job(&polls);
    jobs.start(2, work);
    end.send(5).unwrap();
    assert_eq!(jobs.poll_next(&mut cx), Poll::Ready((2, 5)));
}

#[test]
fn jobs_that_begin_and_are_dropped_leave_nothing_behind() {
    let polls = Arc::new(AtomicUsize::new(0));
    let mut cx = Context::from_waker(Waker::noop());
    let mut jobs = Jobs::new();
    for number in 0..100 {
        jobs.start(number, job(&polls).1);
        jobs.drop(number);
        assert_eq!(jobs.poll_next(&mut cx), Poll::Pending);
    }
    assert_eq!(jobs.woken(), 0);
}

#[test]
fn jobs_that_end_are_given_in_the_order_they_were_woken() {
    let polls = Arc::new(AtomicUsize::new(0));
    let mut cx = Context::from_waker(Waker::noop());
    let mut jobs = Jobs::new();
    let (first, work) = job(&polls);
    jobs.start(1, work);
    let (second, work) = job(&polls);
    jobs.start(2, work);
    assert_eq!(jobs.poll_next(&mut cx), Poll::Pending);
    second.send(20).unwrap();
    first.send(10).unwrap();
    assert_eq!(jobs.poll_next(&mut cx), Poll::Ready((2, 20)));
    assert_eq!(jobs.poll_next(&mut cx), Poll::Ready((1, 10)));
}
