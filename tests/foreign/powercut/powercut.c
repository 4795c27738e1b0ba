// Records what a process does to files below SALUS_POWERCUT_ROOT and has not synced yet, so that journal.ts can take it
// away again after the process was killed: what a power cut does, below an unmodified process and its native modules.
//
// Journal (SALUS_POWERCUT_JOURNAL), appended by plain writes that survive the kill in the page cache. Each entry:
//   kind (1), inode, first number, second number (u64 each), lengths of two byte strings (u32 each), the strings
//   'W' before a write: offset, length; old bytes       'T' before a truncation: new size, old size; bytes behind it
//   'C' after a file was made: directory's inode; path  'S' after a sync of a file or directory: journal end at the call
//   'R' before a rename (inode of the target's directory): grave of what was replaced or 0; from, to
//   'U' before an unlink (inode of the directory): grave; path
// A grave is a hard link in SALUS_POWERCUT_GRAVES: it keeps the content, and its inode from being used again.
// Not seen: writes through a shared mapping (SQLite's -shm and LMDB's lock file, which both are made anew), mkdir.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -2;
static uint64_t journal_end, graves_dug;
static char root[PATH_MAX];

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int open_journal(void) {
  if (journal != -2) return journal;
  const char *path = getenv("SALUS_POWERCUT_JOURNAL");
  const char *below = getenv("SALUS_POWERCUT_ROOT");
  if (!path || !below || !realpath(below, root)) return journal = -1;
  journal = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  return journal;
}

static void put(const void *bytes, size_t length) {
  const char *at = bytes;
  while (length > 0) {
    long written = syscall(SYS_write, journal, at, length);
    if (written <= 0) abort();
    at += written;
    length -= (size_t)written;
    journal_end += (uint64_t)written;
  }
}

static void record(char kind, uint64_t inode, uint64_t one, uint64_t two, const void *a, uint32_t a_length,
                   const void *b, uint32_t b_length) {
  char head[33];
  head[0] = kind;
  memcpy(head + 1, &inode, 8), memcpy(head + 9, &one, 8), memcpy(head + 17, &two, 8);
  memcpy(head + 25, &a_length, 4), memcpy(head + 29, &b_length, 4);
  pthread_mutex_lock(&lock);
  put(head, sizeof head), put(a, a_length), put(b, b_length);
  pthread_mutex_unlock(&lock);
}

static int is_below(const char *path) {
  size_t length = strlen(root);
  return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == 0);
}

// Whether a descriptor is a regular file or directory below the root.
static int is_ours(int fd, struct stat *info) {
  char link[64], path[PATH_MAX];
  if (open_journal() < 0 || fd < 0 || fd == journal) return 0;
  if (fstat(fd, info) != 0 || !(S_ISREG(info->st_mode) || S_ISDIR(info->st_mode))) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return is_below(path);
}

static uint64_t directory_of(const char *path) {
  char directory[PATH_MAX];
  struct stat info;
  snprintf(directory, sizeof directory, "%s", path);
  char *slash = strrchr(directory, '/');
  if (slash) *slash = 0;
  return stat(directory, &info) == 0 ? info.st_ino : 0;
}

// Keeps what a name is about to lose. 0 when there is nothing.
static uint64_t dig_grave(const char *path) {
  char grave[PATH_MAX];
  const char *graves = getenv("SALUS_POWERCUT_GRAVES");
  if (!graves) return 0;
  pthread_mutex_lock(&lock);
  uint64_t number = ++graves_dug;
  pthread_mutex_unlock(&lock);
  snprintf(grave, sizeof grave, "%s/%llu", graves, (unsigned long long)number);
  return syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, grave, 0) == 0 ? number : 0;
}

static char *old_bytes(int fd, off_t offset, size_t length, uint32_t *found) {
  char *old = malloc(length + 1), link[64];
  if (!old) abort();
  // The descriptor may be for writing only.
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int reader = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
  ssize_t count = reader < 0 ? 0 : pread(reader, old, length, offset);
  if (reader >= 0) syscall(SYS_close, reader);
  *found = count > 0 ? (uint32_t)count : 0;
  return old;
}

// A write through a descriptor that syncs by itself is no loss; everything else is until a sync.
static void before_write(int fd, off_t offset, size_t length) {
  struct stat info;
  uint32_t found;
  if (!is_ours(fd, &info) || (fcntl(fd, F_GETFL) & O_DSYNC)) return;
  if (offset < 0) offset = fcntl(fd, F_GETFL) & O_APPEND ? info.st_size : lseek(fd, 0, SEEK_CUR);
  char *old = old_bytes(fd, offset, length, &found);
  record('W', info.st_ino, (uint64_t)offset, length, old, found, NULL, 0);
  free(old);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  before_write(fd, offset, length);
  return real(fd, bytes, length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

ssize_t write(int fd, const void *bytes, size_t length) {
  REAL(ssize_t, "write", int, const void *, size_t);
  before_write(fd, -1, length);
  return real(fd, bytes, length);
}

static size_t total(const struct iovec *parts, int count) {
  size_t length = 0;
  for (int index = 0; index < count; index++) length += parts[index].iov_len;
  return length;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  before_write(fd, -1, total(parts, count));
  return real(fd, parts, count);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
  REAL(ssize_t, "pwritev64", int, const struct iovec *, int, off64_t);
  before_write(fd, offset, total(parts, count));
  return real(fd, parts, count, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  return pwritev64(fd, parts, count, offset);
}

int ftruncate64(int fd, off64_t size) {
  REAL(int, "ftruncate64", int, off64_t);
  struct stat info;
  uint32_t found = 0;
  if (is_ours(fd, &info)) {
    char *old = old_bytes(fd, size, info.st_size > size ? (size_t)(info.st_size - size) : 0, &found);
    record('T', info.st_ino, (uint64_t)size, (uint64_t)info.st_size, old, found, NULL, 0);
    free(old);
  }
  return real(fd, size);
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int synced(int fd, int (*real)(int)) {
  struct stat info;
  int ours = is_ours(fd, &info);
  pthread_mutex_lock(&lock);
  uint64_t upto = journal_end;
  pthread_mutex_unlock(&lock);
  int result = real(fd);
  // The control: a disk that says it synced and did not. run.ts must then find something missing.
  if (ours && result == 0 && !getenv("SALUS_POWERCUT_LYING_DISK")) record('S', info.st_ino, upto, 0, NULL, 0, NULL, 0);
  return result;
}

int fdatasync(int fd) {
  REAL(int, "fdatasync", int);
  return synced(fd, real);
}

int fsync(int fd) {
  REAL(int, "fsync", int);
  return synced(fd, real);
}

// Paths of the node are absolute; a relative one is none of its data directory.
static int opened(const char *path, int flags, int existed, int fd) {
  struct stat info;
  if (fd >= 0 && !existed && is_ours(fd, &info) && S_ISREG(info.st_mode)) {
    record('C', info.st_ino, directory_of(path), 0, path, (uint32_t)strlen(path), NULL, 0);
  } else if (fd >= 0 && (flags & O_TRUNC) && existed && is_ours(fd, &info)) {
    // What was cut off is gone before it can be kept: the node must not do this to a file that counts.
    record('T', info.st_ino, 0, 0, NULL, 0, NULL, 0);
  }
  return fd;
}

#define OPEN(name, ...) \
  mode_t mode = 0; \
  if (flags & (O_CREAT | O_TMPFILE)) { \
    va_list rest; \
    va_start(rest, flags); \
    mode = va_arg(rest, mode_t); \
    va_end(rest); \
  } \
  int existed = !(flags & O_CREAT) || open_journal() < 0 || access(path, F_OK) == 0;

int open64(const char *path, int flags, ...) {
  REAL(int, "open64", const char *, int, ...);
  OPEN()
  return opened(path, flags, existed, real(path, flags, mode));
}

int open(const char *path, int flags, ...) {
  REAL(int, "open", const char *, int, ...);
  OPEN()
  return opened(path, flags, existed, real(path, flags, mode));
}

int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  if (open_journal() >= 0 && is_below(to)) {
    uint64_t grave = access(to, F_OK) == 0 ? dig_grave(to) : 0;
    record('R', directory_of(to), grave, 0, from, (uint32_t)strlen(from), to, (uint32_t)strlen(to));
  }
  return real(from, to);
}

int unlink(const char *path) {
  REAL(int, "unlink", const char *);
  if (open_journal() >= 0 && is_below(path) && access(path, F_OK) == 0) {
    uint64_t grave = dig_grave(path);
    if (grave) record('U', directory_of(path), grave, 0, path, (uint32_t)strlen(path), NULL, 0);
  }
  return real(path);
}
