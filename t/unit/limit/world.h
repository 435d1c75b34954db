/* What the tests of this room share: a shared memory, items with credentials
 * that say whose they are, and the questions that a worker asks. */

#ifndef WORLD_H
#define WORLD_H

#include "v2_config.h"
#include "v2_core.h"
#include "v2_shm.h"
#include "v2_bill.h"
#include "v2_flat.h"
#include "v2_log.h"
#include "v2_meter.h"
#include "v2_time.h"
#include "v2_users.h"

#include "tap.h"

#include <sys/stat.h>
#include <unistd.h>

#define PANEL   77


static v2_shm_t      *shm;
static int            shm_fd = -1;
static v2_users_t    *us;
static v2_shm_proc_t *proc;         /* of worker 0: this process */


TAP_USED static void
world_open(void)
{
    v2_log_init(2, V2_LOG_ERR, -1);
    v2_time_set(1000000);
    shm = v2_shm_create(&shm_fd);
    us = shm ? v2_users_open(shm) : NULL;

    if (us == NULL) {
        printf("Bail out! no shared memory\n");
        exit(1);
    }
}


TAP_USED static void
world_close(void)
{
    v2_users_close(us);
    v2_shm_detach(shm);
    close(shm_fd);
}


/* The panel process dies and another one starts. */
TAP_USED static void
world_restart(void)
{
    v2_users_close(us);
    us = v2_users_open(shm);

    if (us == NULL) {
        printf("Bail out! users do not open again\n");
        exit(1);
    }
}


TAP_USED static void
world_worker(unsigned w)
{
    proc = v2_shm_proc_take(shm, V2_ROLE_WORKER, w);
    v2_shm_turn(shm, proc);
}


/* A turn ends and another begins: grace passes. */
TAP_USED static void
world_turn(void)
{
    v2_shm_sleep(shm, proc);
    v2_users_sweep(us);
    v2_shm_turn(shm, proc);
}


/* Credential `version` of a user, 16 bytes, and the user is its first word. */
TAP_USED static v2_cred_t
cred_of(uint64_t id, uint32_t version)
{
    v2_cred_t  c;

    memset(&c, 0, sizeof(c));
    c.len = 16;
    memcpy(c.bytes, &id, 8);
    memcpy(c.bytes + 8, &version, 4);

    return c;
}


TAP_USED static v2_users_item_t
item_of(uint64_t id, uint32_t version)
{
    v2_users_item_t  item;

    memset(&item, 0, sizeof(item));
    item.id = id;
    item.cred = cred_of(id, version);
    item.uuid_hash = v2_hash64(item.cred.bytes, 16, 1);

    return item;
}


/* Puts `id` with the credential of user `as`. */
TAP_USED static v2_int_t
put_as(uint64_t id, uint64_t as, uint32_t version)
{
    v2_users_item_t  item;

    item = item_of(as, version);
    item.id = id;

    return v2_users_put(us, &item);
}


TAP_USED static v2_int_t
put(uint64_t id, uint32_t version)
{
    return put_as(id, id, version);
}


typedef struct {
    v2_int_t    rc;
    uint32_t    key, account, gen;
    uint64_t    id;                 /* whose account it is */
} found_t;


TAP_USED static found_t
find(uint32_t node, uint64_t id, uint32_t version)
{
    found_t    f;
    v2_cred_t  c;

    memset(&f, 0, sizeof(f));
    c = cred_of(id, version);
    f.rc = v2_meter.find(shm, node, c.bytes, c.len, &f.key, &f.account,
                         &f.gen);
    if (f.rc == V2_OK) {
        f.id = v2_shm_user(shm, v2_shm_account(shm, f.account)->user)->id;
    }

    return f;
}


TAP_USED static int
known(uint32_t node, uint64_t id, uint32_t version)
{
    found_t  f;

    f = find(node, id, version);

    return f.rc == V2_OK && f.id == id;
}


TAP_USED static v2_addr_t
ip(unsigned last, unsigned port)
{
    v2_addr_t  a;

    memset(&a, 0, sizeof(a));
    a.family = 4;
    a.port = (uint16_t) port;
    a.ip[0] = 192;
    a.ip[1] = 0;
    a.ip[2] = 2;
    a.ip[3] = (uint8_t) last;

    return a;
}


/* Opens a flow of worker w; V2_NONE when it is declined. */
TAP_USED static uint32_t
admit(unsigned w, const found_t *f, unsigned last, int udp)
{
    uint32_t     row;
    v2_addr_t    a;
    const char  *why = NULL;

    a = ip(last, 40000);

    if (v2_meter.admit(shm, w, f->account, f->gen, &a, udp, &row, &why)
        != V2_OK)
    {
        return V2_NONE;
    }

    return row;
}


TAP_USED static long
world_kib(void)
{
    struct stat  st;

    return fstat(shm_fd, &st) == -1 ? -1 : (long) st.st_blocks / 2;
}


#endif
