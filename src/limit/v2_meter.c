/* The users as a worker sees them: who is this, may he open a flow, and the
 * counting of its payload. Runs in workers, on the packet path: no lock, no
 * system call, no allocation. `w` is the worker's row block.
 *
 * Invariants
 *  1. A flow is opened in this order: live++, full fence, is the account still
 *     LIVE with this gen? The writer does: not LIVE, fence, grace, is live 0?
 *     One of the two sees the other, so no flow hangs on a freed account.
 *  2. The flags of a row are stored last at admit and first at leave; a row
 *     without V2_ROW_USED is a hole, linked through start[].
 *  3. Bytes count as long as the life of the account is that of the row, also
 *     after the flow was told to close: what was sent is owed.
 *  4. A bucket is the time up to which the bytes counted so far use the rate
 *     up (its theoretical arrival time). Counting moves it, waiting never.
 *
 * Nothing here knows what a flow is made of, or who calls. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_meter.h"
#include "v2_log.h"
#include "v2_recent.h"
#include "v2_time.h"
#include "v2_users_index.h"

#define V2_NS               UINT64_C(1000000000)
#define V2_METER_BURST      65536       /* bytes, and 100 ms of the rate */
#define V2_METER_FAST       UINT64_C(10000000000)   /* as good as unlimited */

static v2_int_t v2_meter_find(v2_shm_t *shm, uint32_t node,
    const uint8_t *cred, unsigned len, uint32_t *key, uint32_t *account,
    uint32_t *gen);
static v2_int_t v2_meter_admit(v2_shm_t *shm, unsigned w, uint32_t account,
    uint32_t gen, const v2_addr_t *addr, int udp, uint32_t *row,
    const char **why);
static void v2_meter_count(v2_shm_t *shm, unsigned w, uint32_t row,
    unsigned way, uint64_t n);
static uint64_t v2_meter_pause(v2_shm_t *shm, unsigned w, uint32_t row,
    unsigned way);
static int v2_meter_stale(v2_shm_t *shm, unsigned w, uint32_t row);
static void v2_meter_leave(v2_shm_t *shm, unsigned w, uint32_t row);

static int v2_meter_good(const v2_account_t *a, uint32_t gen);
static v2_account_t *v2_meter_account(v2_shm_t *shm, v2_shm_rows_t *rows,
    uint32_t row);
static v2_a32_t *v2_meter_live(v2_shm_rows_t *rows, uint32_t account,
    unsigned udp);
static uint32_t v2_row_take(v2_shm_rows_t *rows);
static void v2_row_put(v2_shm_rows_t *rows, uint32_t row);
static void v2_bucket_add(v2_account_t *a, unsigned way, uint64_t n);
static uint64_t v2_bucket_ns(uint64_t n, uint64_t rate);

const v2_meter_t v2_meter = {
    .find = v2_meter_find,
    .admit = v2_meter_admit,
    .count = v2_meter_count,
    .pause = v2_meter_pause,
    .stale = v2_meter_stale,
    .leave = v2_meter_leave
};


static v2_int_t
v2_meter_find(v2_shm_t *shm, uint32_t node, const uint8_t *cred, unsigned len,
    uint32_t *key, uint32_t *account, uint32_t *gen)
{
    uint32_t         k;
    const v2_key_t  *rec;

    k = v2_index_find(shm, node, cred, len);
    if (k == V2_NONE) {
        return V2_DECLINED;
    }

    rec = v2_shm_key(shm, k);

    if (rec->account >= V2_SHM_ACCOUNTS
        || !v2_meter_good(v2_shm_account(shm, rec->account), rec->gen))
    {
        return V2_DECLINED;
    }

    *key = k;
    *account = rec->account;
    *gen = rec->gen;

    return V2_OK;
}


static v2_int_t
v2_meter_admit(v2_shm_t *shm, unsigned w, uint32_t account, uint32_t gen,
    const v2_addr_t *addr, int udp, uint32_t *row, const char **why)
{
    uint32_t        i, use;
    v2_a32_t       *live;
    v2_shm_rows_t  *rows;

    v2_assert(w < V2_SHM_WORKERS);

    if (account >= V2_SHM_ACCOUNTS) {
        *why = "user was removed";
        return V2_DECLINED;
    }

    rows = v2_shm_rows(shm, w);
    i = v2_row_take(rows);

    if (i == V2_NONE) {
        *why = "too many sessions in this worker";
        return V2_DECLINED;
    }

    live = v2_meter_live(rows, account, udp != 0);
    atomic_fetch_add(live, 1);
    atomic_thread_fence(memory_order_seq_cst);

    if (!v2_meter_good(v2_shm_account(shm, account), gen)) {
        atomic_fetch_sub(live, 1);
        v2_row_put(rows, i);
        *why = "user was removed";
        return V2_DECLINED;
    }

    rows->account[i] = account;
    rows->gen[i] = gen;
    rows->start[i] = v2_now_s();
    rows->last[i] = rows->start[i];
    rows->addr[i] = *addr;

    use = atomic_load_explicit(&rows->flags[i], memory_order_relaxed);
    use = (use & ~V2_ROW_BITS) + V2_ROW_BITS + 1;

    atomic_store_explicit(&rows->flags[i],
                          use | V2_ROW_USED | (udp ? V2_ROW_UDP : 0),
                          memory_order_release);
    *row = i;

    return V2_OK;
}


static void
v2_meter_count(v2_shm_t *shm, unsigned w, uint32_t row, unsigned way,
    uint64_t n)
{
    uint32_t        now, flags;
    v2_account_t   *a;
    v2_shm_rows_t  *rows = v2_shm_rows(shm, w);

    v2_assert(way < 2);

    a = v2_meter_account(shm, rows, row);
    if (a == NULL || n == 0) {
        return;
    }

    atomic_fetch_add_explicit(way ? &a->down : &a->up, n,
                              memory_order_relaxed);
    now = v2_now_s();

    if (atomic_load_explicit(&a->active, memory_order_relaxed) != now) {
        atomic_store_explicit(&a->active, now, memory_order_relaxed);
    }

    v2_bucket_add(a, way, n);

    rows->last[row] = now;
    flags = atomic_load_explicit(&rows->flags[row], memory_order_relaxed);

    if (!(flags & V2_ROW_MOVED)) {
        atomic_store_explicit(&rows->flags[row], flags | V2_ROW_MOVED,
                              memory_order_release);
    }
}


static uint64_t
v2_meter_pause(v2_shm_t *shm, unsigned w, uint32_t row, unsigned way)
{
    uint64_t       rate, tat, now, burst;
    v2_account_t  *a;

    v2_assert(way < 2);

    a = v2_meter_account(shm, v2_shm_rows(shm, w), row);
    if (a == NULL) {
        return 0;
    }

    rate = atomic_load_explicit(&a->rate, memory_order_relaxed);
    if (rate == 0 || rate > V2_METER_FAST) {
        return 0;
    }

    tat = atomic_load_explicit(&a->tat[way], memory_order_relaxed);
    burst = v2_bucket_ns(v2_max(rate / 10, V2_METER_BURST), rate);
    now = v2_now_ns();

    return tat > now + burst ? tat - now - burst : 0;
}


static int
v2_meter_stale(v2_shm_t *shm, unsigned w, uint32_t row)
{
    uint32_t        account;
    v2_shm_rows_t  *rows = v2_shm_rows(shm, w);

    v2_assert(row < V2_SHM_ROWS);

    account = rows->account[row];

    if (account < V2_SHM_ACCOUNTS
        && v2_meter_good(v2_shm_account(shm, account), rows->gen[row]))
    {
        return 0;
    }

    atomic_fetch_or_explicit(&rows->flags[row], V2_ROW_CLOSE,
                             memory_order_relaxed);
    return 1;
}


static void
v2_meter_leave(v2_shm_t *shm, unsigned w, uint32_t row)
{
    uint32_t          flags, account;
    v2_shm_rows_t    *rows = v2_shm_rows(shm, w);
    v2_shm_recent_t   entry;

    v2_assert(row < V2_SHM_ROWS);

    flags = atomic_load_explicit(&rows->flags[row], memory_order_relaxed);
    account = rows->account[row];

    v2_assert((flags & V2_ROW_USED) && account < V2_SHM_ACCOUNTS);

    if (!(flags & V2_ROW_USED) || account >= V2_SHM_ACCOUNTS) {
        return;
    }

    if (flags & V2_ROW_MOVED) {
        memset(&entry, 0, sizeof(entry));
        entry.account = account;
        entry.gen = rows->gen[row];
        entry.last = rows->last[row];
        entry.addr = rows->addr[row];
        v2_recent_add(rows, &entry, v2_now_s());
    }

    atomic_store_explicit(&rows->flags[row], flags & ~V2_ROW_BITS,
                          memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    v2_row_put(rows, row);

    atomic_fetch_sub(v2_meter_live(rows, account, (flags & V2_ROW_UDP) != 0),
                     1);
}


static int
v2_meter_good(const v2_account_t *a, uint32_t gen)
{
    return atomic_load_explicit(&a->state, memory_order_acquire) == V2_REC_LIVE
           && atomic_load_explicit(&a->gen, memory_order_acquire) == gen;
}


/* The account of a row in use, NULL when it is none or of another life. */

static v2_account_t *
v2_meter_account(v2_shm_t *shm, v2_shm_rows_t *rows, uint32_t row)
{
    uint32_t       gen;
    v2_account_t  *a;

    v2_assert(row < V2_SHM_ROWS);

    if (rows->account[row] >= V2_SHM_ACCOUNTS) {
        return NULL;
    }

    a = v2_shm_account(shm, rows->account[row]);
    gen = atomic_load_explicit(&a->gen, memory_order_relaxed);

    if (v2_gen_life(gen) != v2_gen_life(rows->gen[row])) {
        v2_log(V2_LOG_ALERT, NULL, 0, "a flow hangs on account %u, which was "
               "freed; its traffic is not counted", rows->account[row]);
        return NULL;
    }

    return a;
}


static v2_a32_t *
v2_meter_live(v2_shm_rows_t *rows, uint32_t account, unsigned udp)
{
    return udp ? &rows->live_udp[account] : &rows->live_tcp[account];
}


static uint32_t
v2_row_take(v2_shm_rows_t *rows)
{
    uint32_t  i, n;

    if (rows->hole != 0) {
        i = rows->hole - 1;
        rows->hole = rows->start[i];
        return i;
    }

    n = atomic_load_explicit(&rows->count, memory_order_relaxed);

    if (n >= V2_SHM_ROWS) {
        return V2_NONE;
    }

    atomic_store_explicit(&rows->count, n + 1, memory_order_release);

    return n;
}


static void
v2_row_put(v2_shm_rows_t *rows, uint32_t row)
{
    rows->start[row] = rows->hole;
    rows->hole = row + 1;
}


static void
v2_bucket_add(v2_account_t *a, unsigned way, uint64_t n)
{
    uint64_t  rate, tat, next, now;

    rate = atomic_load_explicit(&a->rate, memory_order_relaxed);
    if (rate == 0 || rate > V2_METER_FAST) {
        return;
    }

    now = v2_now_ns();
    tat = atomic_load_explicit(&a->tat[way], memory_order_relaxed);

    do {
        next = v2_max(tat, now) + v2_bucket_ns(n, rate);

    } while (!atomic_compare_exchange_weak_explicit(&a->tat[way], &tat, next,
                                                    memory_order_relaxed,
                                                    memory_order_relaxed));
}


/* rate is at most V2_METER_FAST, so that no product passes 64 bits. */

static uint64_t
v2_bucket_ns(uint64_t n, uint64_t rate)
{
    n = v2_min(n, UINT32_MAX);

    return n / rate * V2_NS + n % rate * V2_NS / rate;
}
