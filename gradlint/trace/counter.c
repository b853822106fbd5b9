/* Counts bytes of CPU tensors: stands in the place of torch's own (dormant) bookkeeping calls and passes them on.

   Sizes are kept by address, because a deletion is told without one. The table is split in shards so that
   threads seldom wait for each other; a fork happens only while none is held. */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef void (*new_t)(void *, void *, size_t);
typedef void (*delete_t)(void *, void *);

struct entry { uintptr_t key; int64_t size; };
struct shard { atomic_flag lock; size_t room, used; struct entry *entries; };

enum { SHARDS = 16, FEWEST = 16 };  /* few and small: a step of a program finds them out of the caches */
static const uintptr_t GONE = 1;  /* a deleted entry: addresses of blocks are even */

_Atomic int64_t gradlint_live, gradlint_peak;
new_t gradlint_new;
delete_t gradlint_delete;
static struct shard shards[SHARDS];

static size_t mixed(uintptr_t key) { return (size_t)((key >> 4) * 0x9E3779B97F4A7C15ull) >> 8; }

static void hold(struct shard *s) { while (atomic_flag_test_and_set_explicit(&s->lock, memory_order_acquire)) sched_yield(); }
static void let_go(struct shard *s) { atomic_flag_clear_explicit(&s->lock, memory_order_release); }

/* Where a key is, or the first place where it may be put. */
static struct entry *slot(struct entry *entries, size_t room, uintptr_t key, size_t hash) {
    struct entry *free_one = NULL;
    for (size_t i = hash & (room - 1);; i = (i + 1) & (room - 1)) {
        struct entry *e = &entries[i];
        if (e->key == key) return e;
        if (e->key == GONE && !free_one) free_one = e;
        if (!e->key) return free_one ? free_one : e;
    }
}

__attribute__((noinline)) static int grow(struct shard *s) {
    size_t alive = 0;
    for (size_t i = 0; i < s->room; i++) alive += s->entries[i].key > GONE;
    size_t room = FEWEST;
    while (room < alive * 4) room *= 2;
    struct entry *fresh = calloc(room, sizeof *fresh);
    if (!fresh) return 0;
    for (size_t i = 0; i < s->room; i++)
        if (s->entries[i].key > GONE) *slot(fresh, room, s->entries[i].key, mixed(s->entries[i].key)) = s->entries[i];
    free(s->entries);
    s->entries = fresh, s->room = room, s->used = alive;
    return 1;
}

static void add(int64_t size) {
    int64_t now = atomic_fetch_add(&gradlint_live, size) + size, most = atomic_load(&gradlint_peak);
    while (now > most && !atomic_compare_exchange_weak(&gradlint_peak, &most, now)) {}
}

/* Take an entry out: its place is as if never used if no search goes on behind it. */
static void take(struct shard *s, size_t i) {
    size_t last = s->room - 1;
    s->entries[i].key = GONE;
    if (s->entries[(i + 1) & last].key) return;
    for (; s->entries[i].key == GONE; i = (i - 1) & last) s->entries[i].key = 0, s->used--;
}

void gradlint_on_new(void *self, void *block, size_t size) {
    size_t hash = mixed((uintptr_t)block);
    struct shard *s = &shards[hash >> 40 & (SHARDS - 1)];
    if (block && size) {
        hold(s);
        if (s->used * 2 < s->room || grow(s)) {
            struct entry *e = slot(s->entries, s->room, (uintptr_t)block, hash);
            if (!e->key) s->used++;
            if (e->key == (uintptr_t)block) atomic_fetch_sub(&gradlint_live, e->size);  /* its end was not told */
            e->key = (uintptr_t)block, e->size = (int64_t)size;
            add((int64_t)size);
        }
        let_go(s);
    }
    gradlint_new(self, block, size);
}

void gradlint_on_delete(void *self, void *block) {
    size_t hash = mixed((uintptr_t)block);
    struct shard *s = &shards[hash >> 40 & (SHARDS - 1)];
    hold(s);
    if (s->room) {
        struct entry *e = slot(s->entries, s->room, (uintptr_t)block, hash);
        if (e->key == (uintptr_t)block) {  /* older blocks are not known */
            atomic_fetch_sub(&gradlint_live, e->size);
            take(s, (size_t)(e - s->entries));
        }
    }
    let_go(s);
    gradlint_delete(self, block);
}

/* The most since the last call; what is in use now starts the next period. */
int64_t gradlint_take(void) { return atomic_exchange(&gradlint_peak, atomic_load(&gradlint_live)); }

void gradlint_reset(void) {
    for (int i = 0; i < SHARDS; i++) {
        hold(&shards[i]);
        memset(shards[i].entries, 0, shards[i].room * sizeof(struct entry));
        shards[i].used = 0;
        let_go(&shards[i]);
    }
    atomic_store(&gradlint_live, 0), atomic_store(&gradlint_peak, 0);
}

#ifdef GRADLINT_PYTHON  /* given where Python's headers are: what the tracer does most often, in its own words */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <time.h>

struct record { int64_t time, live, peak; uint32_t site; uint16_t lane; uint8_t modes, kind; };  /* as in log.py */
/* Words that the log keeps: where to write, the last record's time, the highest peak, how many regions were entered. */
enum { OFFSET, LAST, MOST, ENTERED };
enum { KIND_ENTER = 1, KIND_EXIT = 2, KIND_FORWARD = 7 };  /* as in kinds.py */
struct log { Py_buffer chunk, words; };

static void close_log(PyObject *capsule) {
    struct log *log = PyCapsule_GetPointer(capsule, NULL);
    PyBuffer_Release(&log->chunk), PyBuffer_Release(&log->words);
    free(log);
}

static int64_t clock_now(void) {
    struct timespec clock;
    clock_gettime(CLOCK_MONOTONIC, &clock);
    return (int64_t)clock.tv_sec * 1000000000 + clock.tv_nsec;
}

/* Append a record of now; 0 if there is no room. */
static int append(struct log *log, uint32_t site, uint16_t lane, uint8_t modes, uint8_t kind) {
    int64_t *words = log->words.buf;
    if (words[OFFSET] + (int64_t)sizeof(struct record) > log->chunk.len) return 0;
    volatile struct record *to = (void *)((char *)log->chunk.buf + words[OFFSET]);
    int64_t peak = gradlint_take(), now = clock_now();
    to->time = now, to->live = atomic_load(&gradlint_live), to->peak = peak;
    to->site = site, to->lane = lane, to->modes = modes;
    atomic_signal_fence(memory_order_release);
    to->kind = kind;  /* last: it makes the record valid */
    words[OFFSET] += (int64_t)sizeof(struct record), words[LAST] = now;
    if (peak > words[MOST]) words[MOST] = peak;
    return 1;
}

/* record(site, lane, modes, kind): append a record of now; False if there is no room. */
static PyObject *record(PyObject *capsule, PyObject *const *given, Py_ssize_t count) {
    static const unsigned long most[] = {UINT32_MAX, UINT16_MAX, UINT8_MAX, UINT8_MAX};
    struct log *log = PyCapsule_GetPointer(capsule, NULL);
    unsigned long what[4];
    if (count != 4) return PyErr_Format(PyExc_TypeError, "four numbers are wanted, not %zd", count);
    for (int i = 0; i < 4; i++) {
        what[i] = PyLong_AsUnsignedLong(given[i]);
        if (what[i] > most[i]) return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_OverflowError, "%lu", what[i]);
    }
    return PyBool_FromLong(append(log, (uint32_t)what[0], (uint16_t)what[1], (uint8_t)what[2], (uint8_t)what[3]));
}

static PyMethodDef record_definition = {"record", (PyCFunction)(void (*)(void))record, METH_FASTCALL, NULL};

/* A function that appends records to this chunk of a log. */
PyObject *gradlint_recorder(PyObject *chunk, PyObject *words) {
    struct log *log = calloc(1, sizeof *log);
    if (!log) return PyErr_NoMemory();
    if (PyObject_GetBuffer(chunk, &log->chunk, PyBUF_WRITABLE) || PyObject_GetBuffer(words, &log->words, PyBUF_WRITABLE)) {
        PyBuffer_Release(&log->chunk), free(log);
        return NULL;
    }
    PyObject *capsule = PyCapsule_New(log, NULL, close_log);
    PyObject *function = capsule ? PyCFunction_New(&record_definition, capsule) : NULL;
    Py_XDECREF(capsule);
    return function;
}

#if PY_VERSION_HEX >= 0x030B0000 && !defined(Py_GIL_DISABLED)
#include "hooks.c"
#endif

#endif

static void hold_all(void) { for (int i = 0; i < SHARDS; i++) hold(&shards[i]); }
static void let_all_go(void) { for (int i = 0; i < SHARDS; i++) let_go(&shards[i]); }
__attribute__((constructor)) static void prepare(void) { pthread_atfork(hold_all, let_all_go, let_all_go); }
