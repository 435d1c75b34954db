/* The life of the shared memory: made once, mapped by every process, and the
 * process slots with their epochs. The records in it belong to the limit room;
 * the rules of all parts stand in v2_shm.h.
 *
 * Invariants
 *  1. The file cannot change its size, so no process can make another one
 *     fault; pages are given back by punching holes only.
 *  2. Places are computed from the constants of this build. A file whose
 *     header says anything else is not mapped.
 *  3. A slot becomes visible (role) after its row block was wiped, and its pid
 *     is the last thing to go: a reader never sees a foreign row as live.
 *
 * Nothing here knows users, keys or panels. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_shm.h"
#include "v2_log.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define V2_SHM_ALIGN        65536       /* any page size of Linux */
#define V2_SHM_SEALS        (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static void v2_shm_layout(v2_shm_t *h);
static uint64_t v2_shm_part(uint64_t *at, uint64_t bytes);
static v2_int_t v2_shm_check(int fd, const v2_shm_t *h);
static v2_shm_t *v2_shm_map(int fd, uint64_t size);
static int v2_shm_block_used(const v2_shm_t *shm, uint32_t worker);


v2_shm_t *
v2_shm_create(int *fd)
{
    int        memfd;
    uint64_t   seed;
    v2_shm_t  *shm, h;

    v2_shm_layout(&h);

    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) {
        v2_log(V2_LOG_EMERG, NULL, errno, "getrandom() failed");
        return NULL;
    }

    memfd = memfd_create("v2sp", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memfd == -1) {
        v2_log(V2_LOG_EMERG, NULL, errno, "memfd_create() failed");
        return NULL;
    }

    if (ftruncate(memfd, (off_t) h.size) == -1
        || fcntl(memfd, F_ADD_SEALS, V2_SHM_SEALS) == -1)
    {
        v2_log(V2_LOG_EMERG, NULL, errno, "shared memory of %" PRIu64
               " bytes could not be made", h.size);
        close(memfd);
        return NULL;
    }

    shm = v2_shm_map(memfd, h.size);
    if (shm == NULL) {
        close(memfd);
        return NULL;
    }

    memcpy(shm, &h, sizeof(h));
    shm->seed = seed;
    *fd = memfd;

    return shm;
}


v2_shm_t *
v2_shm_attach(int fd)
{
    ssize_t   n;
    v2_shm_t  h;

    n = pread(fd, &h, sizeof(h), 0);

    if (n != (ssize_t) sizeof(h)) {
        v2_log(V2_LOG_EMERG, NULL, n == -1 ? errno : 0,
               "shared memory has no header");
        return NULL;
    }

    if (v2_shm_check(fd, &h) != V2_OK) {
        v2_log(V2_LOG_EMERG, NULL, 0, "shared memory was made by another "
               "version, stop v2sp and start it again");
        return NULL;
    }

    return v2_shm_map(fd, h.size);
}


void
v2_shm_detach(v2_shm_t *shm)
{
    munmap(shm, shm->size);
}


void
v2_shm_wipe(v2_shm_t *shm, uint64_t off, uint64_t len)
{
    char      *p = v2_shm_at(shm, off);
    uint64_t   page, head, whole;

    v2_assert(off <= shm->size && len <= shm->size - off);

    page = (uint64_t) sysconf(_SC_PAGESIZE);
    head = v2_min((page - off % page) % page, len);
    whole = (len - head) / page * page;

    memset(p, 0, head);

    if (whole != 0 && madvise(p + head, whole, MADV_REMOVE) == -1) {
        v2_log(V2_LOG_ALERT, NULL, errno, "madvise(MADV_REMOVE) failed");
        memset(p + head, 0, whole);
    }

    memset(p + head + whole, 0, len - head - whole);
}


v2_shm_proc_t *
v2_shm_proc_take(v2_shm_t *shm, unsigned role, unsigned worker)
{
    uint32_t        i, none;
    v2_shm_proc_t  *p;

    if (role == V2_ROLE_WORKER && v2_shm_block_used(shm, worker)) {
        v2_log(V2_LOG_ALERT, NULL, 0, "rows of worker %u are in use", worker);
        return NULL;
    }

    for (i = 0; i < V2_SHM_PROCS; i++) {
        p = &shm->procs[i];
        none = 0;

        if (!atomic_compare_exchange_strong(&p->pid, &none,
                                            (uint32_t) getpid()))
        {
            continue;
        }

        atomic_store(&p->seen, 0);
        p->worker = worker;

        if (role == V2_ROLE_WORKER) {
            v2_shm_wipe(shm, shm->rows + worker * sizeof(v2_shm_rows_t),
                        sizeof(v2_shm_rows_t));
        }

        atomic_store(&p->role, role);

        return p;
    }

    v2_log(V2_LOG_ALERT, NULL, 0, "no process slot is free");

    return NULL;
}


void
v2_shm_proc_clear(v2_shm_t *shm, uint32_t pid)
{
    uint32_t        i;
    v2_shm_proc_t  *p;

    if (pid == 0) {
        return;
    }

    for (i = 0; i < V2_SHM_PROCS; i++) {
        p = &shm->procs[i];

        if (atomic_load(&p->pid) == pid) {
            atomic_store(&p->role, V2_ROLE_FREE);
            atomic_store(&p->seen, 0);
            atomic_store(&p->heartbeat, 0);
            atomic_store(&p->pid, 0);
        }
    }
}


/* The fence is needed only when the store changes something: while `seen`
 * already says the epoch, the fence of that earlier turn still holds. */

void
v2_shm_turn(v2_shm_t *shm, v2_shm_proc_t *me)
{
    uint64_t  e;

    e = atomic_load_explicit(&shm->epoch, memory_order_acquire);

    if (atomic_load_explicit(&me->seen, memory_order_relaxed) != e) {
        atomic_store_explicit(&me->seen, e, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
    }
}


void
v2_shm_sleep(v2_shm_t *shm, v2_shm_proc_t *me)
{
    (void) shm;

    atomic_store_explicit(&me->seen, 0, memory_order_release);
}


uint64_t
v2_shm_epoch_next(v2_shm_t *shm)
{
    uint64_t  e;

    atomic_thread_fence(memory_order_seq_cst);
    e = atomic_fetch_add(&shm->epoch, 1) + 1;
    atomic_thread_fence(memory_order_seq_cst);

    return e;
}


int
v2_shm_epoch_passed(const v2_shm_t *shm, uint64_t e)
{
    return v2_shm_epoch_seen(shm) >= e;
}


uint64_t
v2_shm_epoch_seen(const v2_shm_t *shm)
{
    uint32_t              i;
    uint64_t              e, seen;
    const v2_shm_proc_t  *p;

    e = atomic_load(&shm->epoch);

    for (i = 0; i < V2_SHM_PROCS; i++) {
        p = &shm->procs[i];

        if (atomic_load(&p->pid) == 0) {
            continue;
        }

        seen = atomic_load(&p->seen);

        if (seen != 0 && seen < e) {
            e = seen;
        }
    }

    return e;
}


static void
v2_shm_layout(v2_shm_t *h)
{
    uint32_t  t;
    uint64_t  at;

    memset(h, 0, sizeof(*h));

    h->magic = V2_SHM_MAGIC;
    h->version = V2_SHM_VERSION;
    atomic_init(&h->epoch, 1);

    at = 0;
    (void) v2_shm_part(&at, sizeof(v2_shm_t));

    h->users = v2_shm_part(&at, sizeof(v2_user_t) * V2_SHM_USERS);
    h->accounts = v2_shm_part(&at, sizeof(v2_account_t) * V2_SHM_ACCOUNTS);
    h->keys = v2_shm_part(&at, sizeof(v2_key_t) * V2_SHM_KEYS);

    for (t = 0; t < V2_SHM_TABLES; t++) {
        h->words[t] = v2_shm_part(&at, sizeof(v2_a64_t)
                                       * v2_shm_table_words(t));
    }

    h->rows = v2_shm_part(&at, sizeof(v2_shm_rows_t) * V2_SHM_WORKERS);
    h->size = at;
}


static uint64_t
v2_shm_part(uint64_t *at, uint64_t bytes)
{
    uint64_t  off = *at;

    *at = (off + bytes + V2_SHM_ALIGN - 1) & ~(uint64_t) (V2_SHM_ALIGN - 1);

    return off;
}


static v2_int_t
v2_shm_check(int fd, const v2_shm_t *h)
{
    int          seals;
    v2_shm_t     want;
    struct stat  st;

    v2_shm_layout(&want);
    seals = fcntl(fd, F_GET_SEALS);

    if (seals == -1 || (seals & V2_SHM_SEALS) != V2_SHM_SEALS
        || fstat(fd, &st) == -1 || (uint64_t) st.st_size != want.size)
    {
        return V2_ERROR;
    }

    if (h->magic != want.magic || h->version != want.version
        || h->size != want.size || h->users != want.users
        || h->accounts != want.accounts || h->keys != want.keys
        || h->rows != want.rows
        || memcmp(h->words, want.words, sizeof(want.words)) != 0)
    {
        return V2_ERROR;
    }

    return V2_OK;
}


static v2_shm_t *
v2_shm_map(int fd, uint64_t size)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        v2_log(V2_LOG_EMERG, NULL, errno, "mmap() of %" PRIu64 " bytes of "
               "shared memory failed", size);
        return NULL;
    }

    if (madvise(p, size, MADV_DONTDUMP) == -1) {
        v2_log(V2_LOG_ALERT, NULL, errno, "madvise(MADV_DONTDUMP) failed");
    }

    /* EINVAL: a kernel without huge pages, which is as good */
    if (madvise(p, size, MADV_NOHUGEPAGE) == -1 && errno != EINVAL) {
        v2_log(V2_LOG_ALERT, NULL, errno, "madvise(MADV_NOHUGEPAGE) failed");
    }

    return p;
}


static int
v2_shm_block_used(const v2_shm_t *shm, uint32_t worker)
{
    uint32_t              i;
    const v2_shm_proc_t  *p;

    for (i = 0; i < V2_SHM_PROCS; i++) {
        p = &shm->procs[i];

        if (atomic_load(&p->role) == V2_ROLE_WORKER && p->worker == worker) {
            return 1;
        }
    }

    return worker >= V2_SHM_WORKERS;
}
