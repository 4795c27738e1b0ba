/*
 * Network links in user space: wire INNER OUTER [INNER OUTER …] makes a pair of TAP devices for each link and carries
 * Ethernet frames between the two. What goes from an inner to an outer device can be delayed and lost, as the kernel's
 * netem discipline does it where a kernel has that; this needs nothing but TAP devices, so that the same test runs on
 * every machine. Lines on standard input: `delay MILLISECONDS`, `loss PERMILLE`, `stats`; its end ends the links.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LINKS_MAX = 16, FRAME_BYTES_MAX = 65536, LINE_BYTES_MAX = 256 };

struct frame {
  struct frame *next;
  int64_t due_us;
  int to;
  ssize_t bytes;
  unsigned char data[];
};

static struct frame *first, **last = &first;
static int64_t delay_us;
static long loss_permille;
static unsigned long carried, lost;
/* Fixed, so that the same frames in the same order lose the same ones. */
static uint32_t seed = 2463534242u;

static int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static uint32_t random32(void) {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed;
}

static int open_tap(const char *name) {
  struct ifreq request;
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) {
    fprintf(stderr, "%s: %s\n", name, strerror(errno));
    exit(1);
  }
  return fd;
}

/* A frame that a device does not take now is lost, as on any wire. */
static void give(int to, const unsigned char *data, ssize_t bytes) {
  if (write(to, data, (size_t)bytes) == bytes) carried += 1;
  else lost += 1;
}

static void keep(int to, const unsigned char *data, ssize_t bytes) {
  struct frame *frame;
  if ((long)(random32() % 1000) < loss_permille) {
    lost += 1;
    return;
  }
  frame = malloc(sizeof *frame + (size_t)bytes);
  if (!frame) exit(1);
  frame->next = NULL;
  frame->due_us = now_us() + delay_us;
  frame->to = to;
  frame->bytes = bytes;
  memcpy(frame->data, data, (size_t)bytes);
  *last = frame;
  last = &frame->next;
}

static void give_due(void) {
  while (first && first->due_us <= now_us()) {
    struct frame *frame = first;
    give(frame->to, frame->data, frame->bytes);
    first = frame->next;
    if (!first) last = &first;
    free(frame);
  }
}

static int obey(void) {
  static char buffer[LINE_BYTES_MAX];
  static size_t filled;
  ssize_t bytes = read(STDIN_FILENO, buffer + filled, sizeof buffer - filled - 1);
  char *line = buffer, *end;
  if (bytes <= 0) return 0;
  filled += (size_t)bytes;
  buffer[filled] = '\0';
  for (; (end = strchr(line, '\n')); line = end + 1) {
    long value = 0;
    *end = '\0';
    if (sscanf(line, "delay %ld", &value) == 1) delay_us = value * 1000;
    else if (sscanf(line, "loss %ld", &value) == 1) loss_permille = value;
    printf("%lu %lu\n", carried, lost);
  }
  fflush(stdout);
  filled -= (size_t)(line - buffer);
  memmove(buffer, line, filled);
  return filled < sizeof buffer - 1;
}

int main(int count, char **names) {
  static unsigned char data[FRAME_BYTES_MAX];
  struct pollfd polled[2 * LINKS_MAX + 1];
  int devices = count - 1;
  if (devices < 2 || devices % 2 != 0 || devices > 2 * LINKS_MAX) return 2;
  for (int index = 0; index < devices; index += 1) {
    polled[index].fd = open_tap(names[index + 1]);
    polled[index].events = POLLIN;
  }
  polled[devices].fd = STDIN_FILENO;
  polled[devices].events = POLLIN;
  puts("ready");
  fflush(stdout);
  for (;;) {
    int64_t wait_us = first ? first->due_us - now_us() : 1000000;
    int wait_ms = wait_us <= 0 ? 0 : (int)((wait_us + 999) / 1000);
    if (poll(polled, (nfds_t)devices + 1, wait_ms) < 0 && errno != EINTR) return 1;
    give_due();
    if (polled[devices].revents && !obey()) return 0;
    for (int index = 0; index < devices; index += 1) {
      ssize_t bytes;
      if (!(polled[index].revents & POLLIN)) continue;
      while ((bytes = read(polled[index].fd, data, sizeof data)) > 0) {
        /* Inner devices have even places; the other end of the link is the neighbour. */
        if (index % 2 == 0) keep(polled[index + 1].fd, data, bytes);
        else give(polled[index - 1].fd, data, bytes);
      }
    }
    give_due();
  }
}
