/* The shared memory of one running v2sp: one memfd, sparse, mapped by all its
 * processes, sealed against resizing. Offsets and indices only, range-checked
 * by every reader. No lock on the packet path.
 *
 * part                     writer           rule
 * header, sizes            creator          constant after creation
 * users, accounts, keys    panel process    fill, then release store of state
 * index words              panel process    tag and key number; 0 empty,
 *                                           1 tombstone; nothing is moved
 * account up, down         any worker       relaxed fetch_add, monotonic, also
 *                                           from one life of the record to
 *                                           the next
 * account tat[]            any worker       compare-and-swap (GCRA)
 * rows, live[] of worker   that worker      dense; not read when it is dead;
 *                                           zeroed by its successor
 * recent addresses         that worker      ring; entries under a sequence
 * marks, settled           panel process    v2_bill.h
 * node strangers           any worker       fetch_add
 * process slots            their process    cleared by the master after
 *                                           waitpid
 *
 * Epoch and grace: a worker sets seen = epoch with a full fence at the start
 * of a loop turn and seen = 0 before it sleeps. The writer stores, fences,
 * e = ++epoch; grace has passed when every live process has seen 0 or >= e.
 *
 * Generations: an account's gen has two parts. The upper one (its life) grows
 * when the record is freed; rows of another life count nothing. The lower one
 * grows whenever a key is taken away from the account; a key is good, and a
 * flow may go on, only while its whole gen equals the account's.
 *
 * Index tables: table t has 1024 << (t / 2) words, two of each size, so that a
 * bigger or a cleaned one can be built while readers are in the old one, and
 * growing twice never waits for grace. `index` names the one that readers use;
 * index_mask[t] is its words - 1, set before its first word and zeroed after
 * its pages were given back. */

#ifndef V2_SHM_H
#define V2_SHM_H

#include "v2_addr.h"
#include <stdatomic.h>

#define V2_SHM_MAGIC        0x76327368u
#define V2_SHM_VERSION      1
#define V2_SHM_WORKERS      64
#define V2_SHM_PROCS        (V2_SHM_WORKERS * 2 + 8)
#define V2_SHM_NODES        256
#define V2_SHM_USERS        (1u << 20)
#define V2_SHM_ACCOUNTS     (1u << 21)
#define V2_SHM_KEYS         (1u << 21)
#define V2_SHM_INDEX        (1u << 22)          /* words of a largest table */
#define V2_SHM_TABLES       26
#define V2_SHM_ROWS         (1u << 17)          /* sessions of one worker */
#define V2_SHM_RECENT       (1u << 16)          /* addresses of one worker */

typedef _Atomic uint64_t  v2_a64_t;
typedef _Atomic uint32_t  v2_a32_t;

/* state of user, account and key records */
enum { V2_REC_FREE, V2_REC_FILLING, V2_REC_LIVE, V2_REC_CLOSING };

struct v2_user_s {                      /* (panel, id), 64 bytes */
    v2_a32_t    state;
    uint32_t    panel;                  /* hash of ApiHost + ApiKey */
    uint64_t    id;
    uint32_t    accounts;               /* accounts that point here */
    v2_a32_t    device_limit, conn_limit;
    uint32_t    next;                   /* free list, + 1 */
    uint32_t    pad[8];
};

struct v2_account_s {                   /* (node, user), 128 bytes */
    /* workers */
    v2_a64_t    up, down;               /* counted */
    v2_a64_t    tat[2];                 /* buckets, ns: 0 up, 1 down */
    v2_a32_t    state;
    v2_a32_t    gen;                    /* life and key, see above */
    uint32_t    user;                   /* index of v2_user_t */
    uint32_t    node;                   /* slot */
    v2_a64_t    rate;                   /* bytes/s, 0 unlimited */
    v2_a32_t    active;                 /* seconds (v2_now_s) of last traffic */
    uint32_t    pad;
    /* panel process */
    v2_a64_t    mark[2], settled[2];    /* 0 up, 1 down */
    uint32_t    key;                    /* its key, V2_NONE: none */
    uint32_t    list;                   /* the last list that named it */
    uint64_t    uuid_hash;              /* of the panel's text, for the diff */
    uint64_t    grace;                  /* CLOSING: the epoch to wait for */
    uint32_t    next;                   /* free or closing list, + 1 */
    uint32_t    linked;                 /* is in the closing list */
};

#define V2_GEN_KEYS         0xfffu              /* the part of the key */
#define v2_gen_life(gen)    ((gen) & ~V2_GEN_KEYS)
#define v2_gen_next_key(gen)                                                 \
    (v2_gen_life(gen) | (((gen) + 1) & V2_GEN_KEYS))
#define v2_gen_next_life(gen)                                                \
    (v2_gen_life(gen) + V2_GEN_KEYS + 1)

struct v2_key_s {                       /* 64 bytes */
    v2_a32_t    state;
    uint32_t    account, gen;
    uint32_t    node;
    uint64_t    hash;                   /* CLOSING: the epoch to wait for */
    uint8_t     len;
    uint8_t     pad[3];
    uint32_t    next;                   /* free or closing list, + 1 */
    uint8_t     cred[32];
};

enum { V2_REPORT_NONE, V2_REPORT_PREPARED, V2_REPORT_SENDING };

typedef struct {                        /* one node slot, 256 bytes */
    v2_a32_t    state;                  /* V2_REC_... : users are in */
    uint32_t    node_id;
    uint64_t    name_hash;              /* of panel and node id: found again */
    v2_a64_t    stranger_up, stranger_down;
    v2_a32_t    report;                 /* V2_REPORT_..., panel process */
    char        batch[36 + 4];          /* batch id, zero-terminated */
    uint32_t    pad;
    uint64_t    pad2[22];
} v2_shm_node_t;

enum { V2_ROLE_FREE, V2_ROLE_MASTER, V2_ROLE_PANEL, V2_ROLE_WORKER };

typedef struct {                        /* one process, 64 bytes */
    v2_a32_t    pid;                    /* 0: free */
    v2_a32_t    role;
    v2_a64_t    seen;                   /* epoch, 0 asleep */
    v2_a64_t    heartbeat;              /* monotonic ms */
    uint32_t    worker;                 /* row block it writes */
    uint32_t    pad[7];
    uint64_t    pad2[1];
} v2_shm_proc_t;

/* flags of a row. The bits above V2_ROW_BITS count the uses of the row, so
 * that a reader of another process sees when it changed under his hands. */
#define V2_ROW_USED         1
#define V2_ROW_UDP          2
#define V2_ROW_CLOSE        4           /* the worker was told to close it */
#define V2_ROW_MOVED        8           /* it carried payload */
#define V2_ROW_BITS         0xffu

typedef struct {                        /* an address whose flow has closed */
    v2_a32_t    seq;                    /* odd while it is written */
    uint32_t    account, gen;
    uint32_t    last;                   /* v2_now_s of its last traffic */
    uint32_t    prev;                   /* the account's entry before, + 1 */
    v2_addr_t   addr;
} v2_shm_recent_t;

typedef struct {                        /* one worker's rows, whole pages */
    v2_a32_t    count;                  /* rows 0..count-1: used or holes */
    uint32_t    hole;                   /* the first hole + 1, then start[] */
    v2_a32_t    recent_n;               /* entries of recent[] ever used */
    uint32_t    recent_at;              /* the entry to use next */
    uint32_t    pad[12];
    uint32_t    account[V2_SHM_ROWS];
    uint32_t    gen[V2_SHM_ROWS];
    uint32_t    start[V2_SHM_ROWS], last[V2_SHM_ROWS];      /* v2_now_s */
    v2_a32_t    flags[V2_SHM_ROWS];
    v2_addr_t   addr[V2_SHM_ROWS];
    v2_a32_t    live_tcp[V2_SHM_ACCOUNTS], live_udp[V2_SHM_ACCOUNTS];
    uint32_t    newest[V2_SHM_ACCOUNTS];        /* in recent[], + 1 */
    v2_shm_recent_t  recent[V2_SHM_RECENT];
} __attribute__((aligned(4096))) v2_shm_rows_t;

/* The header page and the places of all parts. */
struct v2_shm_s {
    uint32_t        magic, version;
    uint64_t        size;
    uint64_t        seed;               /* of the index hash, random */
    v2_a64_t        epoch;              /* starts at 1 */
    v2_a32_t        cut;                /* grows when sessions must be closed */
    v2_a32_t        index;              /* which table readers use */
    v2_a32_t        index_mask[V2_SHM_TABLES];  /* words - 1; 0: not built */
    v2_a32_t        users_n, accounts_n, keys_n;        /* high-water marks */
    uint32_t        pad;
    v2_shm_proc_t   procs[V2_SHM_PROCS];
    v2_shm_node_t   nodes[V2_SHM_NODES];
    uint64_t        users, accounts, keys, rows;        /* offsets */
    uint64_t        words[V2_SHM_TABLES];
};

static_assert(sizeof(v2_user_t) == 64, "user record");
static_assert(sizeof(v2_account_t) == 128, "account record");
static_assert(offsetof(v2_account_t, state) == 32, "account state");
static_assert(offsetof(v2_account_t, rate) == 48, "account rate");
static_assert(offsetof(v2_account_t, mark) == 64, "account marks");
static_assert(offsetof(v2_account_t, key) == 96, "account key");
static_assert(sizeof(v2_key_t) == 64, "key record");
static_assert(offsetof(v2_key_t, hash) == 16, "key hash");
static_assert(offsetof(v2_key_t, cred) == 32, "key credential");
static_assert(sizeof(v2_shm_node_t) == 256, "node slot");
static_assert(offsetof(v2_shm_node_t, report) == 32, "node report");
static_assert(sizeof(v2_shm_proc_t) == 64, "process slot");
static_assert(sizeof(v2_shm_recent_t) == 40, "recent address");
static_assert(offsetof(v2_shm_rows_t, account) == 64, "rows");
static_assert(offsetof(v2_shm_t, procs) == 160, "header");
static_assert(offsetof(v2_shm_t, nodes) == 160 + 64 * V2_SHM_PROCS, "nodes");

#define v2_shm_at(shm, off)     ((void *) ((uintptr_t) (shm) + (off)))
#define v2_shm_user(shm, i) \
    (&((v2_user_t *) v2_shm_at(shm, (shm)->users))[i])
#define v2_shm_account(shm, i) \
    (&((v2_account_t *) v2_shm_at(shm, (shm)->accounts))[i])
#define v2_shm_key(shm, i) \
    (&((v2_key_t *) v2_shm_at(shm, (shm)->keys))[i])
#define v2_shm_rows(shm, w) \
    (&((v2_shm_rows_t *) v2_shm_at(shm, (shm)->rows))[w])
#define v2_shm_words(shm, t) \
    ((v2_a64_t *) v2_shm_at(shm, (shm)->words[t]))

/* Words of index table t. */
#define v2_shm_table_words(t)   (UINT32_C(1024) << ((t) / 2))

/* Creates the memfd (sealed, MADV_DONTDUMP, MADV_NOHUGEPAGE) and maps it.
 * *fd: for binary upgrades. NULL: logged. */
v2_shm_t  *v2_shm_create(int *fd);
/* Maps one made by another process; checks magic, version, size, places. */
v2_shm_t  *v2_shm_attach(int fd);
void       v2_shm_detach(v2_shm_t *shm);

/* Zeroes len bytes at off and gives whole pages back to the kernel. */
void       v2_shm_wipe(v2_shm_t *shm, uint64_t off, uint64_t len);

/* Takes a free process slot for the caller. worker: the row block that a
 * worker writes; it is wiped, and no other living worker may have it. NULL:
 * none free, or the block is in use (logged). The master clears the slot of a
 * dead pid before it gives the block to the next. */
v2_shm_proc_t  *v2_shm_proc_take(v2_shm_t *shm, unsigned role,
    unsigned worker);
void            v2_shm_proc_clear(v2_shm_t *shm, uint32_t pid);

/* Worker's epoch, at the start of a turn and before sleep. */
void  v2_shm_turn(v2_shm_t *shm, v2_shm_proc_t *me);
void  v2_shm_sleep(v2_shm_t *shm, v2_shm_proc_t *me);
/* Writer: a new epoch; has it been seen by all? */
uint64_t  v2_shm_epoch_next(v2_shm_t *shm);
int       v2_shm_epoch_passed(const v2_shm_t *shm, uint64_t e);
/* The newest epoch that has been seen by all. */
uint64_t  v2_shm_epoch_seen(const v2_shm_t *shm);

#endif
