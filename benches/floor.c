/* What a server on this kernel cannot go below without leaving sockets: the same octets in and out, no thought.
 *
 * usage: floor udp PORT SIZE   blocking recvmmsg and sendmmsg; each datagram goes back, padded to SIZE, QR and AA set
 *        floor tcp PORT SIZE   epoll; each message of a read goes back likewise, all of them in one write
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#define BATCH 64
#define FILES 8192

static int bound(int kind, int port) {
    int fd = socket(AF_INET, kind, 0), on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (void *)&at, sizeof at)) exit(1);
    return fd;
}

static void udp(int port, unsigned size) {
    int fd = bound(SOCK_DGRAM, port), room = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    static char octets[BATCH][2048];
    static struct mmsghdr messages[BATCH];
    static struct iovec parts[BATCH];
    static struct sockaddr_in peers[BATCH];
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){octets[i], sizeof octets[i]};
            messages[i].msg_hdr = (struct msghdr){
                .msg_name = &peers[i], .msg_namelen = sizeof peers[i], .msg_iov = &parts[i], .msg_iovlen = 1};
        }
        int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, 0);
        for (int i = 0; i < count; i++) {
            octets[i][2] |= 0x84;
            parts[i].iov_len = messages[i].msg_len > size ? messages[i].msg_len : size;
        }
        for (int sent = 0; sent < count;) {
            int more = sendmmsg(fd, messages + sent, count - sent, 0);
            if (more <= 0) break;
            sent += more;
        }
    }
}

/* A message that comes in two reads is kept until its rest is there. */
struct held {
    unsigned count;
    unsigned char octets[1024];
};

static void tcp(int port, unsigned size) {
    static struct held held[FILES];
    static unsigned char in[65536], out[1 << 22];
    int listener = bound(SOCK_STREAM, port), on = 1, poll = epoll_create1(0);
    listen(listener, 1024);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[BATCH];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(poll, events, BATCH, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int client = accept4(listener, 0, 0, SOCK_NONBLOCK);
                if (client < 0) continue;
                if (client >= FILES) {
                    close(client);
                    continue;
                }
                setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                held[client].count = 0;
                event = (struct epoll_event){.events = EPOLLIN, .data.fd = client};
                epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
                continue;
            }
            struct held *rest = &held[fd];
            memcpy(in, rest->octets, rest->count);
            ssize_t got = recv(fd, in + rest->count, sizeof in - rest->count, 0);
            if (got <= 0) {
                close(fd);
                continue;
            }
            unsigned end = rest->count + got, at = 0, used = 0;
            while (end - at >= 2) {
                unsigned length = in[at] << 8 | in[at + 1];
                if (end - at < 2 + length || length > sizeof rest->octets - 2) break;
                unsigned answer = length > size ? length : size;
                out[used] = answer >> 8;
                out[used + 1] = answer;
                memcpy(out + used + 2, in + at + 2, length);
                out[used + 4] |= 0x84;
                used += 2 + answer;
                at += 2 + length;
            }
            rest->count = end - at;
            if (rest->count > sizeof rest->octets || (used && send(fd, out, used, MSG_NOSIGNAL) != used)) {
                close(fd);
                continue;
            }
            memcpy(rest->octets, in + at, rest->count);
        }
    }
}

int main(int count, char **words) {
    if (count != 4) return 2;
    (strcmp(words[1], "tcp") ? udp : tcp)(atoi(words[2]), atoi(words[3]));
}
