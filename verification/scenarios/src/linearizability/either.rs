//! A select over two channels: the points that a call amounts to, and the channel of each point.
//!
//! The program's first sender sends to the first channel, and its second sender to the second. The
//! receiver has a receiver of each channel and looks at them in this order, with budgets that are
//! never spent. A receive is therefore a receive from one of the channels. At an earlier moment,
//! the channels before that one had nothing to receive and no end to tell. A receive that finds
//! nothing has seen that nothing is there in each channel, in each at a moment of its own.

use super::program::{End, Program};
use super::spec::Response;
use super::spec::{self, Granularity, Point};

/// Returns the points of the call `(thread, number)` with that answer. Points that happen at once
/// are in one group, with the channel in which they happen. `gone` says whether the call used the
/// thread's end up.
#[must_use]
pub fn points(
    program: &Program,
    (thread, number): (usize, usize),
    response: &Response,
    gone: bool,
    granularity: Granularity,
) -> Vec<(usize, Vec<Point>)> {
    let end = program.threads[thread].end;
    if granularity == Granularity::Either && end == End::Receiver {
        return received(program, response, gone);
    }
    let (call, item) = (program.threads[thread].calls[number], program.item(thread, number));
    let lane = if granularity == Granularity::Either { thread } else { 0 };
    let groups = spec::points(call, item, end, response, gone, granularity);
    groups.into_iter().map(|points| (lane, points)).collect()
}

/// Returns the points of a call of the receiver that selects.
fn received(program: &Program, response: &Response, gone: bool) -> Vec<(usize, Vec<Point>)> {
    let lanes = Granularity::Either.lanes();
    let each = |point: Point, lanes: usize| (0..lanes).map(move |lane| (lane, vec![point.clone()]));
    let from = |lane: usize, points| each(Point::Idle, lane).chain([(lane, points)]).collect();
    let mut groups: Vec<_> = match response {
        Response::Item(item) => {
            let take = Point::Take { items: vec![*item], all: false };
            from(program.sender_of(*item), vec![take, Point::Release(1)])
        }
        Response::Ended(lane) => from(*lane, vec![Point::TellEnd]),
        Response::Closed => each(Point::EndTold, lanes).collect(),
        Response::Empty | Response::Timeout => each(Point::Idle, lanes).collect(),
        _ => Vec::new(),
    };
    if gone {
        groups.extend((0..lanes).map(|lane| (lane, vec![Point::ReceiverGoes, Point::Clear])));
    }
    groups
}
