use super::*;
use std::time::Duration;

fn pair() -> (UdpSocket, UdpSocket) {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    }
    (server, client)
}

fn copy(from: &[u8], out: &mut [u8]) -> Option<usize> {
    out.get_mut(..from.len())?.copy_from_slice(from);
    Some(from.len())
}

fn answers(client: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
    let mut buffer = [0; 65_535];
    let mut next = || {
        client
            .recv(&mut buffer)
            .map(|length| buffer[..length].to_vec())
            .expect("an answer within 5 s")
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn takes_what_is_there_in_one_call_and_answers_in_order() {
    let (server, client) = pair();
    let mut batch = Batch::new(1232, false);
    for round in 0..3u8 {
        for i in 0..100u8 {
            client.send(&[round, i]).unwrap();
        }
        let mut seen = 0;
        while seen < 100 {
            let count = batch.receive(&server).unwrap();
            assert!(seen > 0 || count == BATCH, "a full batch was there, {count} received");
            seen += count;
            let unfit = batch.answer_each(|query, out| {
                assert_eq!(query.peer(), client.local_addr().ok());
                assert_eq!(out.len(), 1232);
                copy(query.octets, out)
            });
            assert_eq!(unfit, 0);
            assert_eq!(
                batch.send(&server),
                Sent {
                    answers: count,
                    refused: 0
                }
            );
        }
        let expected: Vec<Vec<u8>> = (0..100).map(|i| vec![round, i]).collect();
        assert_eq!(answers(&client, 100), expected);
    }
}

#[test]
fn silence_sends_nothing_and_keeps_the_others() {
    let (server, client) = pair();
    let mut batch = Batch::new(512, false);
    for i in 0..10u8 {
        client.send(&[i]).unwrap();
    }
    assert_eq!(batch.receive(&server).unwrap(), 10);
    batch.answer_each(|query, out| {
        if query.octets[0] % 3 == 0 {
            copy(query.octets, out)
        } else {
            None
        }
    });
    assert_eq!(batch.send(&server).answers, 4);
    assert_eq!(answers(&client, 4), [[0], [3], [6], [9]]);
    assert_eq!(batch.send(&server), Sent::default(), "a round is sent once");
}

#[test]
fn drops_a_query_that_was_cut() {
    let (server, client) = pair();
    let mut batch = Batch::new(1232, false);
    client.send(&[1; QUERY_OCTETS + 1]).unwrap();
    client.send(&[2; QUERY_OCTETS]).unwrap();
    client.send(&[]).unwrap();
    assert_eq!(batch.receive(&server).unwrap(), 3);
    let mut lengths = Vec::new();
    let unfit = batch.answer_each(|query, _| {
        lengths.push((query.octets.len(), query.octets.first().copied()));
        None
    });
    assert_eq!((unfit, &lengths[..]), (1, &[(QUERY_OCTETS, Some(2)), (0, None)][..]));
}

#[test]
fn refuses_an_answer_longer_than_its_room() {
    let (server, client) = pair();
    let mut batch = Batch::new(100, false);
    client.send(&[1]).unwrap();
    assert_eq!(batch.receive(&server).unwrap(), 1);
    batch.answer_each(|_, out| Some(out.len() + 1));
    assert_eq!(batch.send(&server), Sent::default());
}

#[test]
fn goes_on_behind_an_answer_the_kernel_refuses() {
    let (server, client) = pair();
    let mut batch = Batch::new(u16::MAX, false);
    for i in 0..3u8 {
        client.send(&[i]).unwrap();
    }
    assert_eq!(batch.receive(&server).unwrap(), 3);
    // 65 535 octets and the headers of UDP and IP do not fit into a datagram: EMSGSIZE.
    batch.answer_each(|query, out| {
        if query.octets[0] == 1 {
            Some(out.len())
        } else {
            copy(query.octets, out)
        }
    });
    assert_eq!(batch.send(&server), Sent { answers: 2, refused: 1 });
    assert_eq!(answers(&client, 2), [[0], [2]]);
}

#[test]
fn a_passed_timeout_is_an_error_that_says_so() {
    let (server, _client) = pair();
    server.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let error = Batch::new(512, true).receive(&server).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn reads_peers_of_both_families() {
    let server = UdpSocket::bind("[::1]:0").unwrap();
    let client = UdpSocket::bind("[::1]:0").unwrap();
    client.send_to(b"x", server.local_addr().unwrap()).unwrap();
    let mut batch = Batch::new(512, false);
    assert_eq!(batch.receive(&server).unwrap(), 1);
    let mut peer = None;
    batch.answer_each(|query, _| {
        peer = query.peer();
        None
    });
    assert_eq!(peer, client.local_addr().ok());
}
