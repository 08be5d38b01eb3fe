#define _GNU_SOURCE
#include "fault.h"
#include "support.h"

#include <link.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { STACK_BYTES = 65536 };

static limpet_shared_header *region;
static limpet_process *process;
static limpet_image image;
static __thread int32_t own_worker = -1;

static limpet_worker *worker_of(int32_t index) {
    return (limpet_worker *)((char *)region + region->worker_offset) + index;
}

static limpet_record *record_of(int32_t worker, uint32_t slot) {
    return (limpet_record *)((char *)region + region->record_offset) + (uint64_t)worker * region->records_per_worker + slot;
}

void limpet_charge_fault(limpet_worker *worker) {
    uint32_t slot = worker->hand_slot, generation = worker->hand_generation;
    if (slot == UINT32_MAX) return;
    int is_again = worker->fault_slot == slot && worker->fault_generation == generation;
    /* Whoever dies in here has charged it or not: a count that belongs to another connection must not be seen. */
    uint32_t count = is_again ? worker->fault_count + 1 : 1;
    if (!is_again) limpet_publish32(&worker->fault_count, 0);
    limpet_publish32(&worker->fault_slot, slot);
    limpet_publish32(&worker->fault_generation, generation);
    limpet_publish32(&worker->fault_count, count);
}

/* Reads memory that need not be there. */
static int peek(uint64_t address, void *to, size_t bytes) {
    struct iovec local = {to, bytes}, remote = {(void *)(uintptr_t)address, bytes};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)bytes;
}

static void registers(const ucontext_t *context, uint64_t *counter, uint64_t *frame) {
#if defined(__x86_64__)
    *counter = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
    *frame = (uint64_t)context->uc_mcontext.gregs[REG_RBP];
#elif defined(__aarch64__)
    *counter = context->uc_mcontext.pc;
    *frame = context->uc_mcontext.regs[29];
#else
    (void)context;
    *counter = *frame = 0;
#endif
}

/* Along the frame pointers: each points to the one before, and behind it lies the return address. */
static void walk(limpet_death *death, const ucontext_t *context) {
    uint64_t counter, frame;
    registers(context, &counter, &frame);
    death->returns = 0;
    if (counter) death->return_address[death->returns++] = counter;
    while (death->returns < LIMPET_RETURN_ADDRESSES && frame && frame % 8 == 0) {
        uint64_t pair[2];
        if (!peek(frame, pair, sizeof pair) || pair[1] == 0) return;
        death->return_address[death->returns++] = pair[1];
        if (pair[0] <= frame) return; /* stacks grow downwards: the caller's frame lies higher */
        frame = pair[0];
    }
}

static void describe(limpet_death *death, int number, const siginfo_t *info, const ucontext_t *context) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    death->signal = number;
    death->code = info->si_code;
    death->address = info->si_code > 0 ? (uint64_t)(uintptr_t)info->si_addr : 0;
    death->load_base = image.base;
    death->worker = own_worker;
    death->slot = UINT32_MAX;
    death->generation = 0;
    death->connection = 0;
    if (own_worker >= 0) {
        limpet_worker *worker = worker_of(own_worker);
        uint32_t slot = worker->hand_slot;
        if (slot < region->records_per_worker) {
            death->slot = slot;
            death->generation = worker->hand_generation;
            death->connection = record_of(own_worker, slot)->id;
        }
        /* The keeper has charged what it ends, since it could not know whether this would still run. */
        if (!death->watchdog) limpet_charge_fault(worker);
    }
    walk(death, context);
    process->death_image_bytes = image.size;
    process->death_build_id_length = image.build_id_length;
    memcpy(process->death_build_id, image.build_id, sizeof image.build_id);
    /* Last: a time says that the rest is there. */
    death->time = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void on_fault(int number, siginfo_t *info, void *context) {
    limpet_death *death = &limpet_continuity_of(region)->death;
    uint32_t before = __atomic_exchange_n(&death->claimed, LIMPET_DEATH_CLAIMED, __ATOMIC_SEQ_CST);
    if (before != LIMPET_DEATH_CLAIMED) {
        death->watchdog = before == LIMPET_DEATH_ORDERED;
        describe(death, number, info, context);
    } else {
        /* Another thread was first, and ends the process when it has written down why. */
        limpet_sleep(1000);
    }
    signal(number, SIG_DFL);
    /* Not every fault comes again by itself when this returns: a trap has its instruction behind it. Blocked here, the
     * signal waits until then. */
    syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), number);
}

/* Of all notes the one that the linker makes of what it has linked (--build-id). */
static void find_build_id(limpet_image *image, const char *notes, size_t bytes) {
    while (bytes >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)notes;
        size_t name = (note->n_namesz + 3u) & ~3u, whole = sizeof *note + name + ((note->n_descsz + 3u) & ~3u);
        if (whole > bytes) return;
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(note + 1, "GNU", 4) == 0) {
            size_t length = note->n_descsz < sizeof image->build_id ? note->n_descsz : sizeof image->build_id;
            memcpy(image->build_id, notes + sizeof *note + name, length);
            image->build_id_length = (uint32_t)length;
            return;
        }
        notes += whole;
        bytes -= whole;
    }
}

static int first_image(struct dl_phdr_info *info, size_t size, void *result) {
    (void)size;
    limpet_image *image = result;
    image->base = info->dlpi_addr;
    for (int index = 0; index < info->dlpi_phnum; index++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[index];
        uint64_t end = part->p_vaddr + part->p_memsz;
        if (part->p_type == PT_LOAD && end > image->size) image->size = end;
        if (part->p_type == PT_NOTE && image->build_id_length == 0)
            find_build_id(image, (const char *)info->dlpi_addr + part->p_vaddr, part->p_memsz);
    }
    return 1; /* the program itself comes first */
}

limpet_image limpet_own_image(void) {
    limpet_image image = {0};
    dl_iterate_phdr(first_image, &image);
    return image;
}

void limpet_fault_prepare(limpet_shared_header *shared) {
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT};
    region = shared;
    const limpet_areas *areas = (const limpet_areas *)((const char *)shared + shared->areas_offset);
    process = (limpet_process *)((char *)shared + areas->area[LIMPET_AREA_PROCESS].offset);
    image = limpet_own_image();
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    /* One fault at a time on a thread: a second inside of the handler ends the process, by the kernel's hand. */
    sigfillset(&action.sa_mask);
    for (unsigned index = 0; index < sizeof numbers / sizeof *numbers; index++) sigaction(numbers[index], &action, NULL);
}

/* ---- The keeper ---- */

static void append_hexadecimal(char *text, unsigned long size, uint64_t number) {
    char digits[17];
    int at = sizeof digits;
    digits[--at] = 0;
    do digits[--at] = "0123456789abcdef"[number % 16];
    while ((number /= 16) > 0);
    limpet_append(text, size, "0x");
    limpet_append(text, size, digits + at);
}

static void on_keeper_fault(int number, siginfo_t *info, void *context) {
    /* A clone has the handler too, until it has another. */
    if (limpet_pid_load(&limpet_continuity_of(region)->keeper) == getpid()) {
        static char line[2048] = "limpetd: the keeper died: killed by signal ";
        static limpet_death death;
        limpet_append_number(line, sizeof line, (uint64_t)number);
        if (info->si_code > 0) {
            limpet_append(line, sizeof line, " at address ");
            append_hexadecimal(line, sizeof line, (uint64_t)(uintptr_t)info->si_addr);
        }
        walk(&death, context);
        for (uint32_t index = 0; index < death.returns; index++) {
            uint64_t address = death.return_address[index];
            int is_own = address >= image.base && address - image.base < image.size;
            limpet_append(line, sizeof line, is_own ? " limpetd+" : " ");
            append_hexadecimal(line, sizeof line, is_own ? address - image.base : address);
        }
        limpet_append(line, sizeof line, " build_id=");
        for (uint32_t index = 0; index < image.build_id_length; index++) {
            char pair[3] = {"0123456789abcdef"[image.build_id[index] / 16], "0123456789abcdef"[image.build_id[index] % 16]};
            limpet_append(line, sizeof line, pair);
        }
        limpet_append(line, sizeof line - 1, "\n");
        ssize_t written = write(STDERR_FILENO, line, strlen(line));
        (void)written;
    }
    signal(number, SIG_DFL);
    syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), number);
}

void limpet_fault_prepare_keeper(limpet_shared_header *shared) {
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT};
    region = shared;
    image = limpet_own_image();
    struct sigaction action = {.sa_sigaction = on_keeper_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    for (unsigned index = 0; index < sizeof numbers / sizeof *numbers; index++) sigaction(numbers[index], &action, NULL);
    limpet_fault_thread(-1);
}

void limpet_fault_thread(int32_t worker) {
    if (!region) return;
    own_worker = worker;
    if (worker >= 0) limpet_store32(&worker_of(worker)->thread, (uint32_t)syscall(SYS_gettid));
    void *memory = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) return;
    stack_t stack = {.ss_sp = memory, .ss_size = STACK_BYTES};
    sigaltstack(&stack, NULL);
}
