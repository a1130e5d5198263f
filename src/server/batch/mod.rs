//! Datagrams in batches: the one place of the crate that needs `unsafe`.
//!
//! A [`Batch`] is what one UDP worker owns: room for [`BATCH`] queries and as many answers, allocated once. One
//! `recvmmsg` fills it, [`Batch::answer_each`] lets the caller write answers, one `sendmmsg` sends them.
//!
//! Promises:
//! - The answer to a query leaves from the address that was asked. A socket bound to one address does that by
//!   itself; for a wildcard bind the kernel's `IP_PKTINFO` or `IPV6_PKTINFO` message is sent back with the answer. Its
//!   interface index is kept for link-local addresses only, so that routing is free to choose.
//! - Nothing is ever sent to port 0, to an unknown peer, or as an answer to a datagram that was longer than the room
//!   for a query ([`QUERY_OCTETS`]; we announce less by EDNS, RFC 6891 §6.2.3).
//! - No allocation, no lock and no system call but the two named above.
//!
//! Memory: headers, peers, control messages and octets live in one heap block that is only reached through a raw
//! pointer. The kernel writes there through the pointers in the headers, so no Rust reference to the whole block may
//! exist; references are made to single slots and end before the next system call.
//!
//! The five system calls in [`system`] are here for the same reason: the standard library has no safe form of them.

#![expect(
    unsafe_code,
    reason = "recvmmsg, sendmmsg and their control messages have no safe form in the standard library"
)]

pub(super) mod system;
#[cfg(test)]
mod tests;

use libc::{c_int, c_uint, c_void, iovec, mmsghdr, sockaddr_in, sockaddr_in6};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::mem::size_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

/// Datagrams per system call.
pub(super) const BATCH: usize = 64;

/// Room for one query in octets: an Ethernet frame without fragments. 23 cache lines, an odd number, so that the
/// slots spread over all sets of the cache.
pub(super) const QUERY_OCTETS: usize = 1472;

/// Room for the control messages of one datagram in octets: `IPV6_PKTINFO` takes 40, the rest is for options that
/// a service manager may have set on a socket it hands over.
const CONTROL_OCTETS: usize = 128;

#[repr(C, align(8))]
struct Control([u8; CONTROL_OCTETS]);

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct CacheLine([u8; 64]);

/// All that the kernel reads and writes. Valid when zeroed.
#[repr(C)]
struct Slots {
    received: [mmsghdr; BATCH],
    outgoing: [mmsghdr; BATCH],
    query_parts: [iovec; BATCH],
    answer_parts: [iovec; BATCH],
    peers: [sockaddr_in6; BATCH],
    control: [Control; BATCH],
    queries: [[u8; QUERY_OCTETS]; BATCH],
}

/// Room for one round of queries and answers. See the module.
pub(super) struct Batch {
    /// Owned, initialised, never null; not shared with anyone.
    slots: NonNull<Slots>,
    /// Room for BATCH answers, `stride` octets each, owned.
    answers: NonNull<[CacheLine]>,
    /// Octets from one answer to the next: `payload` rounded up to an odd number of cache lines.
    stride: usize,
    /// Room for one answer in octets.
    payload: usize,
    /// Is the socket bound to a wildcard address, so that control messages tell which address was asked?
    wildcard: bool,
    /// Slots `..received` hold datagrams of this round.
    received: usize,
    /// Headers `..queued` of `outgoing` are ready to be sent.
    queued: usize,
}

/// What one call of [`Batch::send`] did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    /// Answers the kernel took.
    pub(super) answers: usize,
    /// Answers it refused: no route, a firewall's no, no room.
    pub(super) refused: usize,
}

/// One datagram of the batch.
#[derive(Clone, Copy)]
pub(super) struct Query<'a> {
    /// What was sent.
    pub(super) octets: &'a [u8],
    peer: &'a sockaddr_in6,
}

impl Query<'_> {
    /// Who sent it.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        address(self.peer)
    }
}

impl Batch {
    /// Room for a socket that is bound to a wildcard address or not, with answers of at most `payload` octets.
    pub(super) fn new(payload: u16, wildcard: bool) -> Self {
        let payload = usize::from(payload);
        let lines = payload.div_ceil(size_of::<CacheLine>()) | 1;
        let stride = lines * size_of::<CacheLine>();
        let answers = Box::into_raw(vec![CacheLine([0; 64]); BATCH * lines].into_boxed_slice());
        // SAFETY: `into_raw` gives no null pointer.
        let answers = unsafe { NonNull::new_unchecked(answers) };
        let slots = zeroed_slots();
        let batch = Self {
            slots,
            answers,
            stride,
            payload,
            wildcard,
            received: 0,
            queued: 0,
        };
        let all = slots.as_ptr();
        for i in 0..BATCH {
            // SAFETY: `all` points to a live, zeroed `Slots` that nobody else knows of; `i < BATCH`.
            unsafe {
                (*all).query_parts[i] = iovec {
                    iov_base: (&raw mut (*all).queries[i]).cast::<c_void>(),
                    iov_len: QUERY_OCTETS,
                };
                let header = &raw mut (*all).received[i].msg_hdr;
                (*header).msg_name = (&raw mut (*all).peers[i]).cast::<c_void>();
                (*header).msg_iov = &raw mut (*all).query_parts[i];
                (*header).msg_iovlen = 1;
                if wildcard {
                    (*header).msg_control = (&raw mut (*all).control[i]).cast::<c_void>();
                }
            }
        }
        batch.rearm(BATCH);
        batch
    }

    /// Waits for a datagram and takes all that are there, up to [`BATCH`]. Returns how many, or the error of the
    /// system call: `WouldBlock` when the socket's read timeout passed, `Interrupted` at a signal.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.rearm(self.received);
        self.received = 0;
        self.queued = 0;
        // SAFETY: `received` holds BATCH headers whose pointers lead into the block behind `slots` or are null, with
        // the lengths of what they point to (`new`, `rearm`); the block outlives the call and no reference into it
        // exists now, because `answer_each` hands out none that outlive it.
        let count = unsafe {
            let headers = (&raw mut (*self.slots.as_ptr()).received).cast::<mmsghdr>();
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers,
                BATCH as c_uint,
                libc::MSG_WAITFORONE,
                ptr::null_mut(),
            )
        };
        self.received = usize::try_from(count)
            .map_err(|_| io::Error::last_os_error())?
            .min(BATCH);
        Ok(self.received)
    }

    /// Calls `respond` with each datagram received and room for its answer; what it returns is the length of the
    /// answer, or `None` for silence. Returns how many datagrams were unfit to be shown: longer than
    /// [`QUERY_OCTETS`], from port 0, or to an address that cannot be answered from.
    pub(super) fn answer_each(&mut self, mut respond: impl FnMut(Query<'_>, &mut [u8]) -> Option<usize>) -> usize {
        let mut unfit = 0;
        for i in 0..self.received {
            let Some(control) = self.inspect(i) else {
                unfit += 1;
                continue;
            };
            // SAFETY: `i < received <= BATCH`. Query and peer were written by the kernel or zeroed, so they are
            // initialised, and `msg_len` is at most the length of the slot; room for the answer is the `i`th part of
            // `answers`, initialised and `stride >= payload` octets long. The three do not overlap, nothing else
            // refers to them, and the references end with this turn of the loop.
            let length = unsafe {
                let all = self.slots.as_ptr();
                let octets = std::slice::from_raw_parts(
                    (&raw const (*all).queries[i]).cast::<u8>(),
                    ((*all).received[i].msg_len as usize).min(QUERY_OCTETS),
                );
                let query = Query {
                    octets,
                    peer: &(*all).peers[i],
                };
                let out = std::slice::from_raw_parts_mut(self.room(i), self.payload);
                respond(query, out)
            };
            if let Some(length) = length.filter(|&length| length <= self.payload) {
                self.queue(i, length, control);
            }
        }
        unfit
    }

    /// Sends the answers of this round. What the kernel refuses is skipped, the rest still goes out; when there is
    /// no room left in the socket after its write timeout, the rest of the round is given up.
    pub(super) fn send(&mut self, socket: &UdpSocket) -> Sent {
        let mut sent = Sent::default();
        let mut next = 0;
        while next < self.queued {
            // SAFETY: headers `next..queued` were filled by `queue` in this round with pointers into the blocks
            // behind `slots` and `answers`, which live as long as `self`; the kernel only reads what they point to.
            let count = unsafe {
                let first = (&raw mut (*self.slots.as_ptr()).outgoing).cast::<mmsghdr>().add(next);
                libc::sendmmsg(socket.as_raw_fd(), first, (self.queued - next) as c_uint, 0)
            };
            if let Ok(count) = usize::try_from(count) {
                next += count.max(1);
                sent.answers += count;
                continue;
            }
            match io::Error::last_os_error().kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => {
                    sent.refused += self.queued - next;
                    break;
                }
                // The error belongs to the first datagram of the call.
                _ => {
                    sent.refused += 1;
                    next += 1;
                }
            }
        }
        self.queued = 0;
        sent
    }

    /// Where the room for answer `i` starts.
    fn room(&self, i: usize) -> *mut u8 {
        debug_assert!(i < BATCH, "a slot of this batch");
        // SAFETY: `answers` is BATCH times `stride` octets long.
        unsafe { self.answers.as_ptr().cast::<u8>().add(i * self.stride) }
    }

    /// Puts back what the kernel overwrites in the headers of the first `count` slots.
    fn rearm(&self, count: usize) {
        for i in 0..count.min(BATCH) {
            // SAFETY: `slots` is live and `i < BATCH`; plain stores, no reference is made.
            unsafe {
                let header = &raw mut (*self.slots.as_ptr()).received[i].msg_hdr;
                (*header).msg_namelen = size_of::<sockaddr_in6>() as u32;
                (*header).msg_controllen = if self.wildcard { CONTROL_OCTETS } else { 0 };
                (*header).msg_flags = 0;
            }
        }
    }

    /// Can slot `i` be answered? Returns the control message to send with the answer (null and 0 for none).
    #[inline(always)]
    fn inspect(&self, i: usize) -> Option<(*mut c_void, usize)> {
        // SAFETY: `slots` is live, `i < received <= BATCH`; the port is at the same place in both address families,
        // and a `sockaddr_in6` is the longer of the two.
        let (header, port) = unsafe {
            let header = &raw mut (*self.slots.as_ptr()).received[i].msg_hdr;
            (header, (*self.slots.as_ptr()).peers[i].sin6_port)
        };
        // SAFETY: `header` is a live header that the kernel filled.
        let (peer_known, cut) = unsafe { ((*header).msg_namelen != 0, (*header).msg_flags & libc::MSG_TRUNC != 0) };
        if !peer_known || cut || port == 0 {
            return None;
        }
        if self.wildcard {
            reply_source(header)
        } else {
            Some((ptr::null_mut(), 0))
        }
    }

    /// Adds the answer in slot `i` to what [`Self::send`] sends.
    fn queue(&mut self, i: usize, length: usize, (control, control_octets): (*mut c_void, usize)) {
        let k = self.queued;
        debug_assert!(i < BATCH && k < BATCH, "at most one answer per datagram");
        // SAFETY: `slots` and `answers` are live, `i` and `k` are below BATCH, `length <= payload <= stride`; the
        // pointers stored stay inside the two blocks.
        unsafe {
            let all = self.slots.as_ptr();
            (*all).answer_parts[k] = iovec {
                iov_base: self.room(i).cast::<c_void>(),
                iov_len: length,
            };
            let header = &raw mut (*all).outgoing[k].msg_hdr;
            (*header).msg_name = (&raw mut (*all).peers[i]).cast::<c_void>();
            (*header).msg_namelen = (*all).received[i].msg_hdr.msg_namelen;
            (*header).msg_iov = &raw mut (*all).answer_parts[k];
            (*header).msg_iovlen = 1;
            (*header).msg_control = control;
            (*header).msg_controllen = control_octets;
        }
        self.queued = k + 1;
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: both blocks were made in `new`, one with this layout, the other as a box, and are freed only here.
        unsafe {
            dealloc(self.slots.as_ptr().cast::<u8>(), Layout::new::<Slots>());
            drop(Box::from_raw(self.answers.as_ptr()));
        }
    }
}

/// Finds the message that tells which address was asked and turns it into one that says where to answer from. No
/// message: the kernel chooses. `None`: a group was asked, and one cannot answer from a group.
#[inline(never)]
fn reply_source(header: *mut libc::msghdr) -> Option<(*mut c_void, usize)> {
    // SAFETY: `header` is a live header that the kernel filled, its control pointer leads to a `Control` of this
    // batch and its control length is what the kernel wrote there. The CMSG functions stay within that length; the
    // level and type of a message fix the shape of its data. `read_unaligned` and `write_unaligned` ask no alignment.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    // The kernel has put our own address into `ipi_spec_dst`, even for a broadcast.
                    let data = libc::CMSG_DATA(message).cast::<libc::in_pktinfo>();
                    let mut info = data.read_unaligned();
                    info.ipi_ifindex = 0;
                    data.write_unaligned(info);
                    return Some((message.cast::<c_void>(), space::<libc::in_pktinfo>()));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let data = libc::CMSG_DATA(message).cast::<libc::in6_pktinfo>();
                    let mut info = data.read_unaligned();
                    let asked = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    if asked.is_multicast() {
                        return None;
                    }
                    if !asked.is_unicast_link_local() {
                        info.ipi6_ifindex = 0;
                    }
                    data.write_unaligned(info);
                    return Some((message.cast::<c_void>(), space::<libc::in6_pktinfo>()));
                }
                _ => message = libc::CMSG_NXTHDR(header, message),
            }
        }
    }
    Some((ptr::null_mut(), 0))
}

/// Octets a control message with data of this type takes.
fn space<T>() -> usize {
    // SAFETY: arithmetic only.
    unsafe { libc::CMSG_SPACE(size_of::<T>() as c_uint) as usize }
}

/// The address in a `sockaddr_in` or `sockaddr_in6` that the kernel wrote.
fn address(raw: &sockaddr_in6) -> Option<SocketAddr> {
    match c_int::from(raw.sin6_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is a `sockaddr_in`, which is no longer and no stricter aligned.
            let raw = unsafe { (&raw const *raw).cast::<sockaddr_in>().read() };
            let ip = Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(raw.sin_port)).into())
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(raw.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(raw.sin6_port), raw.sin6_flowinfo, raw.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// A block of slots on the heap, all zeroes: a valid value for headers, addresses and octets alike.
fn zeroed_slots() -> NonNull<Slots> {
    let layout = Layout::new::<Slots>();
    // SAFETY: `Slots` is not of size 0.
    let block = unsafe { alloc_zeroed(layout) };
    NonNull::new(block.cast::<Slots>()).unwrap_or_else(|| handle_alloc_error(layout))
}
