/*
 * clock SECONDS COMMAND [ARGUMENT …] runs a command in the place of this process, with a wall clock that is wrong by so
 * many seconds. The kernel has no namespace for CLOCK_REALTIME, and neither Go's runtime nor a static program asks the C
 * library for the time: all of them call the functions that the kernel maps into every process (vdso(7)). At the
 * command's exec a tracer writes other functions over those, which ask the kernel and add the seconds; then it lets go.
 * Threads share them; a program that the command runs has right ones again. x86-64.
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* Position-independent; numbers of system calls and of CLOCK_REALTIME(_COARSE) are those of x86-64. */
__asm__(
    ".pushsection .rodata\n"
    "shifted:\n"
    "  mov $228, %eax\n  syscall\n  test %eax, %eax\n  jne 2f\n"
    "  test %edi, %edi\n  je 1f\n  cmp $5, %edi\n  jne 2f\n"
    "1: mov shift(%rip), %rdx\n  add %rdx, (%rsi)\n"
    "2: ret\n"
    "shifted_day:\n"
    "  mov $96, %eax\n  syscall\n  test %rdi, %rdi\n  je 3f\n"
    "  mov shift(%rip), %rdx\n  add %rdx, (%rdi)\n"
    "3: ret\n"
    "shifted_time:\n"
    "  push %rdi\n  xor %edi, %edi\n  mov $201, %eax\n  syscall\n  pop %rdi\n"
    "  add shift(%rip), %rax\n  test %rdi, %rdi\n  je 4f\n  mov %rax, (%rdi)\n"
    "4: ret\n"
    "shift: .quad 0\n"
    "shifted_end:\n"
    ".popsection\n");
extern const unsigned char shifted[], shifted_day[], shifted_time[], shift[], shifted_end[];

struct function {
  uint64_t at, bytes;
};

/* By name in this process's own mapping, which every process has alike; places are counted from its beginning. */
static struct function find(const char *name) {
  const unsigned char *image = (const unsigned char *)getauxval(AT_SYSINFO_EHDR);
  const Elf64_Ehdr *head = (const Elf64_Ehdr *)image;
  const Elf64_Shdr *sections = (const Elf64_Shdr *)(image + head->e_shoff);
  struct function found = {0, 0};
  for (int place = 0; place < head->e_shnum; place += 1) {
    const Elf64_Shdr *section = &sections[place];
    const Elf64_Sym *symbols = (const Elf64_Sym *)(image + section->sh_offset);
    const char *names = (const char *)(image + sections[section->sh_link].sh_offset);
    if (section->sh_type != SHT_DYNSYM) continue;
    for (uint64_t index = 0; index < section->sh_size / sizeof *symbols; index += 1) {
      if (strcmp(names + symbols[index].st_name, name) != 0) continue;
      found.at = symbols[index].st_value;
      found.bytes = symbols[index].st_size;
    }
  }
  return found;
}

static uint64_t image_of(pid_t pid) {
  char path[64];
  Elf64_auxv_t entry;
  uint64_t image = 0;
  FILE *file;
  snprintf(path, sizeof path, "/proc/%d/auxv", pid);
  file = fopen(path, "rb");
  while (file && fread(&entry, sizeof entry, 1, file) == 1) {
    if (entry.a_type == AT_SYSINFO_EHDR) image = entry.a_un.a_val;
  }
  if (file) fclose(file);
  return image;
}

static int put(pid_t pid, uint64_t at, const unsigned char *data, size_t bytes) {
  for (size_t done = 0; done < bytes; done += sizeof(long)) {
    size_t part = bytes - done < sizeof(long) ? bytes - done : sizeof(long);
    long word = ptrace(PTRACE_PEEKDATA, pid, at + done, 0);
    memcpy(&word, data + done, part);
    if (ptrace(PTRACE_POKEDATA, pid, at + done, word) < 0) return 0;
  }
  return 1;
}

static int put_jump(pid_t pid, uint64_t image, struct function from, uint64_t to) {
  unsigned char jump[5] = {0xe9};
  int32_t distance = (int32_t)(to - (from.at + sizeof jump));
  memcpy(jump + 1, &distance, sizeof distance);
  return from.at == 0 || put(pid, image + from.at, jump, sizeof jump);
}

static const char *change(pid_t pid, int64_t seconds) {
  struct function now = find("__vdso_clock_gettime"), day = find("__vdso_gettimeofday"), time = find("__vdso_time");
  size_t bytes = (size_t)(shifted_end - shifted);
  uint64_t image = image_of(pid);
  if (image == 0 || now.at == 0) return "the kernel maps no clock";
  if (now.bytes < bytes) return "the kernel's function is too short for another one";
  int done = put(pid, image + now.at, shifted, bytes) &&
             put(pid, image + now.at + (uint64_t)(shift - shifted), (const unsigned char *)&seconds, sizeof seconds) &&
             put_jump(pid, image, day, now.at + (uint64_t)(shifted_day - shifted)) &&
             put_jump(pid, image, time, now.at + (uint64_t)(shifted_time - shifted));
  return done ? NULL : strerror(errno);
}

static void trace(pid_t pid, int64_t seconds, int ready) {
  int status = 0;
  const char *problem;
  if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEEXEC) < 0) _exit(1);
  if (write(ready, "", 1) != 1) _exit(1);
  do {
    if (waitpid(pid, &status, __WALL) < 0 || !WIFSTOPPED(status)) _exit(1);
    if (status >> 8 != (SIGTRAP | PTRACE_EVENT_EXEC << 8)) ptrace(PTRACE_CONT, pid, 0, WSTOPSIG(status));
  } while (status >> 8 != (SIGTRAP | PTRACE_EVENT_EXEC << 8));
  problem = change(pid, seconds);
  if (problem) fprintf(stderr, "clock: %s\n", problem);
  /* With the right time it would show nothing. */
  if (problem) kill(pid, SIGKILL);
  ptrace(PTRACE_DETACH, pid, 0, 0);
  _exit(0);
}

int main(int count, char **arguments) {
  pid_t own = getpid();
  int ready[2];
  char byte;
  if (count < 3 || pipe(ready) < 0) return 2;
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  /* A grandchild, so that the command has no child that it does not know. */
  pid_t child = fork();
  if (child == 0) {
    close(ready[0]);
    if (fork() == 0) trace(own, strtoll(arguments[1], NULL, 10), ready[1]);
    _exit(0);
  }
  close(ready[1]);
  waitpid(child, NULL, 0);
  if (read(ready[0], &byte, 1) != 1) {
    fprintf(stderr, "clock: no process may be traced here\n");
    return 1;
  }
  close(ready[0]);
  execvp(arguments[2], arguments + 2);
  perror(arguments[2]);
  return 127;
}
