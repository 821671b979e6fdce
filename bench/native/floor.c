/*
 * The floor of a fan-out: what the kernel alone costs. A text frame that comes in on a connection whose path is /pub is
 * framed once more and written to every other connection; nothing else is done, neither SHA-1 nor a limit nor a queue.
 *
 *   floor <port>     prints "listening" once it accepts
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_READERS = 65536, READ_BYTES = 65536 };

typedef struct {
  int fd;
  int is_open;
  int is_publisher;
  int place;
} connection;

static connection *readers[MAX_READERS];
static int reader_count;
static unsigned char in[READ_BYTES], out[READ_BYTES];

/* The client's key is always the one of RFC 6455, so its answer is too. */
static const char accepted[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static void watch(int epoll, int fd, connection *owner) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = owner};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void accept_all(int epoll, int listener) {
  const int on = 1;
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
    connection *c = calloc(1, sizeof *c);
    c->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(epoll, fd, c);
  }
}

static void leave(connection *c) {
  if (c->is_open && !c->is_publisher) {
    readers[c->place] = readers[--reader_count];
    readers[c->place]->place = c->place;
  }
  close(c->fd);
  free(c);
}

static void open_up(connection *c) {
  c->is_open = 1;
  c->is_publisher = memcmp(in, "GET /pub", 8) == 0;
  if (!c->is_publisher) {
    c->place = reader_count;
    readers[reader_count++] = c;
  }
  if (write(c->fd, accepted, sizeof accepted - 1) < 0) perror("write");
}

static void fan_out(size_t length) {
  for (int i = 0; i < reader_count; i++)
    if (write(readers[i]->fd, out, length) != (ssize_t)length) fprintf(stderr, "a reader is too slow for the floor\n");
}

/* Takes the masked frames of one read; those of the load client are never split. */
static void take_frames(size_t length) {
  for (size_t at = 0; at + 6 <= length;) {
    size_t size = in[at + 1] & 127, head = 2;
    if (size == 126) size = (size_t)in[at + 2] << 8 | in[at + 3], head = 4;
    const unsigned char *mask = in + at + head, *data = mask + 4;
    if (at + head + 4 + size > length) return;
    memcpy(out, in + at, head);
    out[1] &= 127;
    for (size_t i = 0; i < size; i++) out[head + i] = data[i] ^ mask[i & 3];
    fan_out(head + size);
    at += head + 4 + size;
  }
}

static void receive(connection *c) {
  ssize_t length = recv(c->fd, in, sizeof in, 0);
  if (length < 0 && errno == EAGAIN) return;
  if (length <= 0) leave(c);
  else if (!c->is_open) open_up(c);
  else if (c->is_publisher) take_frames((size_t)length);
}

static int listen_on(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0) {
    perror("listen");
    exit(1);
  }
  return fd;
}

int main(int count, char **words) {
  signal(SIGPIPE, SIG_IGN);
  int listener = listen_on(count > 1 ? atoi(words[1]) : 9000), epoll = epoll_create1(0);
  watch(epoll, listener, NULL);
  printf("listening\n");
  fflush(stdout);
  for (struct epoll_event events[256];;) {
    int ready = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.ptr == NULL) accept_all(epoll, listener);
      else receive(events[i].data.ptr);
    }
  }
}
