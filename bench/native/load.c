/*
 * The load of a fan-out: one publisher and many readers on one server, over WebSocket, in plain frames or in Socket.IO's.
 * In C, because a reader in JavaScript is several times slower than the fastest of the servers it has to measure.
 *
 *   load <ws|sio> <port> <readers> <file> <subscribe> <publish head> <publish tail> [payload bytes] [segment bytes]
 *
 * file       one line of JSON for each connection, sent with Socket.IO's CONNECT, the publisher's last; or -
 * subscribe  text of the packet by which a reader subscribes, answered by an acknowledgement; or -
 * head, tail what stands around the JSON payload in the packet of a publication
 * payload    bytes of the JSON; 128 unless told
 * segment    largest TCP segment the readers take; the loopback's, which no network has, unless told
 *
 * Prints {"ready":true} once all read. Then each line of standard input, "slice <burst> <bursts a second> <window>
 * <milliseconds>", publishes for so long: bursts at a pace, each at the earliest when the one before has arrived; where the
 * window is not 0, always as many as may be under way; where it is -1, bursts at the pace whatever has arrived. It waits until all has arrived and prints what that was, one line of JSON. After the line "stall" the readers
 * read no more.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTING, UPGRADING, ENTERING, SUBSCRIBING, READING, GONE };
enum { PACKET_BYTES = 1 << 15, READ_BYTES = 1 << 18, AT_ONCE = 64, ADDRESSES = 8 };
enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 };

typedef struct {
  int fd, state, is_publisher;
  char *auth;    /* line of the file */
  char *rest;    /* the beginning of a frame that has not come whole */
  size_t length, room;
} connection;

static int is_socket_io, port, reader_count, epoll_fd, payload_bytes = 128, segment_bytes;
static const char *subscribe_packet, *head, *tail;
static connection *connections, *publisher;
static int opened, reading;
static uint64_t delivered, published, bytes_read, reads;
static char in[READ_BYTES];

static void fail(const char *what) {
  fprintf(stderr, "load: %s\n", what);
  exit(1);
}

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- latencies: 64 buckets for each power of two, so that a quantile is right within 2 % ---- */

enum { BUCKETS = 64 * 40 };
static uint64_t latencies[BUCKETS];

static int bucket_of(uint64_t ns) {
  if (ns < 64) return (int)ns;
  int power = 63 - __builtin_clzll(ns), bucket = (power - 5) * 64 + (int)((ns >> (power - 6)) & 63);
  return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double milliseconds_of(int bucket) {
  if (bucket < 64) return bucket / 1e6;
  int power = bucket / 64 + 5;
  return (double)((1ull << power) + ((uint64_t)(bucket & 63) << (power - 6))) / 1e6;
}

static double quantile(double share) {
  uint64_t all = 0, seen = 0;
  for (int i = 0; i < BUCKETS; i++) all += latencies[i];
  for (int i = 0; i < BUCKETS; i++)
    if ((seen += latencies[i]) > (uint64_t)(share * (double)all)) return milliseconds_of(i);
  return 0;
}

/* ---- writing ---- */

static void send_all(connection *c, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t sent = send(c->fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) { usleep(10); continue; }
    if (sent < 0) return;
    bytes += sent;
    length -= (size_t)sent;
  }
}

/* A frame as clients send it; answers its length. */
static size_t frame(unsigned char *out, size_t room, int kind, const char *data, size_t length) {
  static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
  size_t at = 2;
  if (length + 8 > room) fail("a frame is too long");
  out[0] = (unsigned char)(0x80 | kind);
  if (length < 126) out[1] = (unsigned char)(0x80 | length);
  else out[1] = 0x80 | 126, out[2] = (unsigned char)(length >> 8), out[3] = (unsigned char)length, at = 4;
  memcpy(out + at, mask, 4);
  at += 4;
  for (size_t i = 0; i < length; i++) out[at + i] = (unsigned char)data[i] ^ mask[i & 3];
  return at + length;
}

static void send_frame(connection *c, int kind, const char *data, size_t length) {
  unsigned char out[PACKET_BYTES];
  send_all(c, (const char *)out, frame(out, sizeof out, kind, data, length));
}

static void send_text(connection *c, const char *text) { send_frame(c, TEXT, text, strlen(text)); }

static size_t publication(unsigned char *out, size_t room) {
  char packet[PACKET_BYTES];
  int from = snprintf(packet, sizeof packet, "%s", head);
  int at = from + snprintf(packet + from, sizeof packet - (size_t)from, "{\"t\":%llu,\"seq\":%llu,\"p\":\"",
                           (unsigned long long)now(), (unsigned long long)published++);
  while (at - from < payload_bytes - 2) packet[at++] = 'x';
  at += snprintf(packet + at, sizeof packet - (size_t)at, "\"}%s", tail);
  return frame(out, room, TEXT, packet, (size_t)at);
}

/* What is published together leaves together, so that no server wakes up for the first alone. */
static void publish(int burst) {
  static unsigned char out[16 * PACKET_BYTES];
  size_t length = 0;
  for (int i = 0; i < burst; i++) length += publication(out + length, sizeof out - length);
  send_all(publisher, (const char *)out, length);
}

/* ---- connecting ---- */

static void watch(connection *c, uint32_t events, int change) {
  struct epoll_event event = {.events = events, .data.ptr = c};
  epoll_ctl(epoll_fd, change, c->fd, &event);
}

static void begin(connection *c, int index) {
  const int on = 1;
  struct sockaddr_in own = {.sin_family = AF_INET}, server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  own.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(index % ADDRESSES));
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->fd < 0) fail("out of sockets");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (segment_bytes > 0) setsockopt(c->fd, IPPROTO_TCP, TCP_MAXSEG, &segment_bytes, sizeof segment_bytes);
  if (bind(c->fd, (struct sockaddr *)&own, sizeof own) != 0) fail("cannot bind");
  if (connect(c->fd, (struct sockaddr *)&server, sizeof server) != 0 && errno != EINPROGRESS) fail("cannot connect");
  watch(c, EPOLLOUT, EPOLL_CTL_ADD);
}

static void ask_to_upgrade(connection *c) {
  char request[512];
  const char *path = is_socket_io ? "/socket.io/?EIO=4&transport=websocket" : c->is_publisher ? "/pub" : "/";
  int length = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                        path, port);
  c->state = UPGRADING;
  send_all(c, request, (size_t)length);
  watch(c, EPOLLIN, EPOLL_CTL_MOD);
}

/*
 * From here on every read is acknowledged. Left alone, the kernel takes who has answered before for somebody who will
 * answer again and lets acknowledgements wait, for some servers and not for others; and those that wait are sent in the
 * server's time.
 */
static void acknowledge_reads(connection *c) {
  const int on = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

static void is_reading(connection *c) {
  acknowledge_reads(c);
  c->state = READING;
  reading++;
}

/* ---- reading ---- */

static void deliver(const char *packet, size_t length, uint64_t time) {
  const char *stamp = memmem(packet, length, "\"t\":", 4);
  if (stamp == NULL) return;
  uint64_t sent = strtoull(stamp + 4, NULL, 10);
  delivered++;
  latencies[bucket_of(time > sent ? time - sent : 0)]++;
}

static void entered(connection *c) {
  if (c->is_publisher || strcmp(subscribe_packet, "-") == 0) return is_reading(c);
  c->state = SUBSCRIBING;
  send_text(c, subscribe_packet);
}

static int begins_with(const char *data, size_t length, const char *start) {
  return length >= strlen(start) && memcmp(data, start, strlen(start)) == 0;
}

static void take_packet(connection *c, const char *data, size_t length, uint64_t time) {
  if (length == 1 && data[0] == '2') {
    send_text(c, "3");
    return acknowledge_reads(c);
  }
  if (begins_with(data, length, "42")) {
    if (!c->is_publisher) deliver(data, length, time);
  } else if (c->state == ENTERING && data[0] == '0') {
    char packet[4096];
    snprintf(packet, sizeof packet, "40%s", c->auth);
    send_text(c, packet);
  } else if (c->state == ENTERING && begins_with(data, length, "40")) entered(c);
  else if (c->state == SUBSCRIBING && begins_with(data, length, "43")) is_reading(c);
  else if (begins_with(data, length, "44")) fail("a connection was refused");
}

static void take_frame(connection *c, int kind, const char *data, size_t length, uint64_t time) {
  if (kind == PING) send_frame(c, PONG, data, length);
  else if (kind == CLOSE) fail("the server closed a connection");
  else if (is_socket_io) take_packet(c, data, length, time);
  else if (!c->is_publisher) deliver(data, length, time);
}

/* Answers how many bytes were taken. */
static size_t take_frames(connection *c, const char *bytes, size_t length) {
  uint64_t time = now();
  size_t at = 0;
  while (length - at >= 2) {
    const unsigned char *frame = (const unsigned char *)bytes + at;
    size_t size = frame[1] & 127, start = 2;
    if (size == 126 && length - at < 4) break;
    if (size == 126) size = (size_t)frame[2] << 8 | frame[3], start = 4;
    if (size == 127) fail("a frame is longer than any that was published");
    if (length - at < start + size) break;
    take_frame(c, frame[0] & 15, bytes + at + start, size, time);
    at += start + size;
  }
  return at;
}

static size_t take_upgrade(connection *c, const char *bytes, size_t length) {
  const char *end = memmem(bytes, length, "\r\n\r\n", 4);
  if (end == NULL) return 0;
  if (!begins_with(bytes, length, "HTTP/1.1 101")) fail("an upgrade was refused");
  c->state = ENTERING;
  if (!is_socket_io) is_reading(c);
  return (size_t)(end + 4 - bytes);
}

static void keep(connection *c, const char *bytes, size_t length) {
  if (length > c->room) c->rest = realloc(c->rest, c->room = length + 1024);
  memcpy(c->rest, bytes, c->length = length);
}

static void receive(connection *c) {
  if (c->length > 0) memcpy(in, c->rest, c->length);
  ssize_t got = recv(c->fd, in + c->length, sizeof in - c->length, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) fail("the server cut a connection");
  size_t length = c->length + (size_t)got, taken = 0;
  bytes_read += (uint64_t)got;
  reads++;
  if (c->state == UPGRADING) taken = take_upgrade(c, in, length);
  if (c->state != UPGRADING) taken += take_frames(c, in + taken, length - taken);
  keep(c, in + taken, length - taken);
}

static void poll_once(int milliseconds) {
  struct epoll_event events[512];
  int ready = epoll_wait(epoll_fd, events, 512, milliseconds);
  for (int i = 0; i < ready; i++) {
    connection *c = events[i].data.ptr;
    if (c->state == CONNECTING) ask_to_upgrade(c);
    else receive(c);
  }
}

/* ---- what it is told to do ---- */

static void connect_all(FILE *file) {
  size_t room = 0;
  for (int i = 0; i <= reader_count; i++) {
    connection *c = &connections[i];
    c->is_publisher = c == publisher;
    if (file == NULL) c->auth = "";
    else if (getline(&c->auth, &room, file) < 0) fail("the file has too few lines");
    else c->auth[strcspn(c->auth, "\n")] = 0;
    room = 0;
  }
  while (reading <= reader_count) {
    for (; opened <= reader_count && opened < reading + AT_ONCE; opened++) begin(&connections[opened], opened);
    poll_once(100);
  }
}

static uint64_t nanoseconds(double seconds) { return (uint64_t)(seconds * 1e9); }

/* Where a burst waits until the one before has arrived: on a busy machine the two would meet in one turn of the server. */
static void publish_at_pace(int burst, double bursts_per_second, int waits, double seconds, uint64_t wanted) {
  uint64_t start = now(), due = start;
  while (now() - start < nanoseconds(seconds)) {
    if (now() >= due && (!waits || delivered == wanted)) {
      publish(burst);
      wanted += (uint64_t)burst * (uint64_t)reader_count;
      due = (waits ? now() : due) + nanoseconds(1 / bursts_per_second);
    }
    poll_once(1);
  }
}

static void publish_in_window(int window, double seconds, uint64_t before) {
  uint64_t start = now(), first = published;
  while (now() - start < nanoseconds(seconds)) {
    uint64_t arrived = (delivered - before) / (uint64_t)reader_count;
    while (published - first < arrived + (uint64_t)window) publish(1);
    poll_once(1);
  }
}

static void slice(int burst, double pace, int window, double seconds) {
  uint64_t before = delivered, first = published, bytes = bytes_read, recvs = reads, start = now();
  memset(latencies, 0, sizeof latencies);
  if (window > 0) publish_in_window(window, seconds, before);
  else publish_at_pace(burst, pace, window == 0, seconds, before);
  uint64_t wanted = before + (published - first) * (uint64_t)reader_count;
  for (uint64_t patience = now() + 3000000000u; delivered < wanted && now() < patience;) poll_once(10);
  printf("{\"published\":%llu,\"delivered\":%llu,\"missing\":%lld,\"seconds\":%.6f,\"bytes\":%llu,\"reads\":%llu,"
         "\"p50\":%.4f,\"p99\":%.4f,\"p999\":%.4f}\n",
         (unsigned long long)(published - first), (unsigned long long)(delivered - before),
         (long long)(wanted - delivered), (double)(now() - start) / 1e9, (unsigned long long)(bytes_read - bytes),
         (unsigned long long)(reads - recvs), quantile(0.5), quantile(0.99), quantile(0.999));
}

static void stall(void) {
  for (int i = 0; i < reader_count; i++) watch(&connections[i], 0, EPOLL_CTL_DEL);
  printf("{\"stalled\":%d}\n", reader_count);
}

static void obey_line(const char *line) {
  int burst, window, milliseconds;
  double pace;
  if (strcmp(line, "stall\n") == 0) stall();
  else if (sscanf(line, "slice %d %lf %d %d", &burst, &pace, &window, &milliseconds) != 4) fail("what is to be done?");
  else slice(burst, pace, window, milliseconds / 1e3);
  fflush(stdout);
}

/* Takes whole lines; answers 0 at the end of the input. */
static int obey(void) {
  static char line[256];
  static size_t length;
  ssize_t got = read(STDIN_FILENO, line + length, sizeof line - 1 - length);
  if (got == 0) return 0;
  if (got < 0) return 1;
  line[length += (size_t)got] = 0;
  if (strchr(line, '\n') == NULL) return 1;
  length = 0;
  obey_line(line);
  return 1;
}

int main(int count, char **words) {
  if (count < 8 || count > 10) fail("seven to nine words are needed; the head of load.c tells which");
  signal(SIGPIPE, SIG_IGN);
  is_socket_io = strcmp(words[1], "sio") == 0;
  port = atoi(words[2]);
  reader_count = atoi(words[3]);
  subscribe_packet = words[5], head = words[6], tail = words[7];
  if (count > 8) payload_bytes = atoi(words[8]);
  if (count > 9) segment_bytes = atoi(words[9]);
  if (payload_bytes < 64 || payload_bytes > PACKET_BYTES / 2) fail("the payload is too small or too large");
  connections = calloc((size_t)reader_count + 1, sizeof *connections);
  publisher = &connections[reader_count];
  epoll_fd = epoll_create1(0);
  connect_all(strcmp(words[4], "-") == 0 ? NULL : fopen(words[4], "r"));
  printf("{\"ready\":true}\n");
  fflush(stdout);
  fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  while (obey()) poll_once(5);
}
