use std::net::SocketAddr;

use super::{Dialect, Medium, Message, Step, Upgrade};
use crate::load::wire::Outbox;

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
/// Of a PUBLISH: at least once.
const QOS_1: u8 = 0x02;
const CLEAN_SESSION: u8 = 0x02;
/// Of every packet here but CONNECT; nothing waits for it by number.
const PACKET_ID: [u8; 2] = [0, 1];

/// MQTT 3.1.1: a session that stays, a topic for each user, everything at least once and acknowledged.
#[derive(Debug)]
pub(super) struct Mqtt;

impl Dialect for Mqtt {
    fn upgrade(&self, _: u32) -> Upgrade {
        let headers = "Sec-WebSocket-Protocol: mqtt\r\n".to_owned();
        Upgrade { path: "/".to_owned(), headers }
    }

    fn opened(&self, user: u32, outbox: &mut Outbox) -> Step {
        outbox.binary(&connect(&format!("user-{user}"), false));
        Step::Going
    }

    fn frame(&self, user: u32, frame: &[u8], outbox: &mut Outbox) -> Step {
        let mut step = Step::Going;
        let mut rest = frame;
        while let Some((kind, body, behind)) = first_packet(rest) {
            rest = behind;
            match kind & 0xf0 {
                CONNACK => {
                    let topic = [&PACKET_ID[..], &text(&topic(user)), &[1]].concat();
                    outbox.binary(&packet(SUBSCRIBE, &topic));
                }
                SUBACK => step = Step::Live,
                PUBLISH if kind & QOS_1 != 0 => {
                    let topic = body.first_chunk().map_or(0, |length| u16::from_be_bytes(*length));
                    let id = usize::from(topic) + 2;
                    if let Some(id) = body.get(id..id + 2) {
                        outbox.binary(&packet(PUBACK, id));
                    }
                }
                _ => {}
            }
        }
        step
    }

    fn publish(&self, message: &Message, request: &mut Vec<u8>) {
        let topic = text(&topic(message.mark.user));
        let body = [&topic, &PACKET_ID[..], message.payload.as_bytes()].concat();
        request.extend(packet(PUBLISH | QOS_1, &body));
    }

    fn medium(&self) -> Medium {
        Medium::Mqtt
    }

    fn publishes_to(&self, server: SocketAddr) -> SocketAddr {
        SocketAddr::new(server.ip(), server.port() + 1)
    }

    fn keeps_after_a_visit_only(&self) -> bool {
        true
    }
}

/// The first packet of a connection.
pub(crate) fn connect(client: &str, clean: bool) -> Vec<u8> {
    let flags = if clean { CLEAN_SESSION } else { 0 };
    let keep_alive_s = [0, 0];
    packet(CONNECT, &[&text("MQTT")[..], &[4, flags], &keep_alive_s, &text(client)].concat())
}

fn topic(user: u32) -> String {
    format!("user/{user}")
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut length = body.len();
    loop {
        let more = if length > 127 { 0x80 } else { 0 };
        packet.push((length & 127) as u8 | more);
        length >>= 7;
        if length == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// Kind and body of the first whole packet, and what comes behind it.
fn first_packet(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let digits = rest.iter().position(|digit| digit & 0x80 == 0)? + 1;
    let fold = |length, digit: &u8| (length << 7) | usize::from(digit & 127);
    let length = rest[..digits].iter().rev().fold(0, fold);
    let (body, behind) = rest[digits..].split_at_checked(length)?;
    Some((kind, body, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_of_any_length_is_read_as_it_was_written() {
        for length in [0, 127, 128, 16_383, 16_384] {
            let written = packet(PUBLISH, &vec![7; length]);
            let (kind, body, behind) = first_packet(&written).unwrap();
            assert_eq!((kind, body.len(), behind.len()), (PUBLISH, length, 0));
            assert!(first_packet(&written[..written.len() - 1]).is_none());
        }
    }
}
