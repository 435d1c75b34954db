/* needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c
 * needs: src/core/v2_flat.c src/core/v2_addr.c src/core/v2_shm.c
 * needs: src/limit/v2_users.c src/limit/v2_users_rec.c
 * needs: src/limit/v2_users_map.c src/limit/v2_users_index.c
 * needs: src/limit/v2_meter.c src/limit/v2_recent.c src/limit/v2_bill.c */
/* libs: -luuid */

#include "world.h"


static v2_users_stat_t  st;


static void
test_node(void)
{
    is_int(v2_users_begin(us, 3, PANEL) == V2_OK, 0, "no list without a node");
    is_int(v2_users_node(us, 3, 111, 12), V2_OK, "a node takes a slot");
    is_int(shm->nodes[3].node_id, 12, "its number is there");
    is_int(shm->nodes[3].state, V2_REC_FILLING, "no list is in yet");
    is_int(v2_users_node(us, 3, 111, 12), V2_OK, "it is found again");

    is_int(v2_users_begin(us, 3, PANEL), V2_OK, "a list begins");
    v2_users_commit(us, &st);
    is_int(st.total, 0, "nobody is in it");
    is_int(shm->nodes[3].state, V2_REC_LIVE, "but it is a list");
}


static void
test_list(void)
{
    uint32_t         cut;
    found_t          f;
    v2_users_item_t  item;

    v2_users_begin(us, 3, PANEL);
    put(1, 1);
    put(2, 1);
    ok(known(3, 1, 1), "a new key is found before the commit");
    v2_users_commit(us, &st);
    is_int(st.added, 2, "two are added");
    ok(known(3, 1, 1) && known(3, 2, 1), "both are found");
    ok(!known(3, 3, 1), "nobody else");
    ok(!known(4, 1, 1), "and on no other node");

    f = find(3, 1, 1);
    cut = shm->cut;
    v2_users_begin(us, 3, PANEL);
    put(2, 1);
    put(1, 1);
    v2_users_commit(us, &st);
    ok(st.same == 2 && st.added + st.removed + st.changed == 0,
       "the same in another order is the same");
    is_int(shm->cut, cut, "nothing is cut");
    is_int(find(3, 1, 1).key, f.key, "the key stays");

    v2_users_begin(us, 3, PANEL);
    item = item_of(2, 1);
    item.rate = 5000;
    item.device_limit = 2;
    v2_users_put(us, &item);
    put(5, 1);
    v2_users_commit(us, &st);
    ok(st.added == 1 && st.removed == 1 && st.changed == 1,
       "one added, one removed, one with other limits");
    ok(!known(3, 1, 1) && known(3, 2, 1) && known(3, 5, 1),
       "the list is what holds");
    is_int(shm->cut, cut + 1, "flows are told");

    f = find(3, 2, 1);
    is_int(v2_shm_account(shm, f.account)->rate, 5000, "the rate is new");
    is_int(v2_shm_user(shm, v2_shm_account(shm, f.account)->user)
           ->device_limit, 2, "so is the limit of devices");
}


static void
test_abort(void)
{
    v2_users_begin(us, 3, PANEL);
    put(9, 1);
    v2_users_abort(us);
    ok(known(3, 2, 1) && known(3, 5, 1), "a broken list removes nobody");

    v2_users_begin(us, 3, PANEL);
    put(2, 1);
    put(5, 1);
    v2_users_commit(us, &st);
    ok(!known(3, 9, 1), "who was only in it goes with the next");
}


static void
test_key(void)
{
    found_t   old, new;
    uint32_t  row;

    old = find(3, 2, 1);
    row = admit(0, &old, 1, 0);
    is_int(v2_meter.stale(shm, 0, row), 0, "a flow goes on");

    v2_users_begin(us, 3, PANEL);
    put(2, 2);
    put(5, 1);
    v2_users_commit(us, &st);
    is_int(st.changed, 1, "a new uuid is a change");
    ok(known(3, 2, 2) && !known(3, 2, 1), "the new one holds, not the old");

    new = find(3, 2, 2);
    is_int(new.account, old.account, "the account stays");
    ok(new.gen != old.gen, "its generation does not");
    is_int(v2_meter.stale(shm, 0, row), 1, "flows of the old one must end");
    v2_meter.count(shm, 0, row, 0, 100);
    is_int(v2_shm_account(shm, old.account)->up, 100,
           "and count until they do");
    is_int(admit(0, &old, 1, 0), V2_NONE, "none opens any more");
    v2_meter.leave(shm, 0, row);
}


/* Users who change places, and a user made anew under another id. */
static void
test_swap(void)
{
    v2_users_begin(us, 3, PANEL);
    put_as(2, 5, 1);
    put_as(5, 2, 2);
    v2_users_commit(us, &st);
    ok(st.changed == 2 && st.refused == 0, "two users swap");
    is_int(find(3, 5, 1).id, 2, "the first has what the second had");
    is_int(find(3, 2, 2).id, 5, "and the other way");

    v2_users_begin(us, 3, PANEL);
    put_as(70, 5, 1);
    put_as(5, 2, 2);
    v2_users_commit(us, &st);
    ok(st.added == 1 && st.removed == 1 && st.refused == 0,
       "a credential goes to a new user");
    is_int(find(3, 5, 1).id, 70, "he has it");
}


static void
test_refuse(void)
{
    v2_users_item_t  item;

    v2_users_begin(us, 3, PANEL);
    put(20, 1);
    put(21, 1);
    v2_users_commit(us, &st);

    v2_users_begin(us, 3, PANEL);
    put(20, 1);
    put_as(21, 20, 1);
    put_as(22, 20, 1);
    v2_users_commit(us, &st);
    is_int(st.refused, 2, "a credential of another is refused");
    is_int(find(3, 20, 1).id, 20, "the first keeps it");
    ok(!known(3, 21, 1), "the second has nothing, also not his old one");

    v2_users_begin(us, 3, PANEL);
    put_as(21, 20, 1);
    v2_users_commit(us, &st);
    is_int(st.changed, 1, "when the first is gone,");
    is_int(find(3, 20, 1).id, 21, "the second gets it");

    v2_users_begin(us, 3, PANEL);
    put(30, 1);
    put(30, 2);
    put(30, 1);
    v2_users_commit(us, &st);
    ok(known(3, 30, 1) && !known(3, 30, 2), "of two entries the first holds");
    is_int(st.refused, 2, "the others are refused");

    v2_users_begin(us, 3, PANEL);
    put_as(31, 30, 1);
    put(31, 1);
    put(30, 1);
    v2_users_commit(us, &st);
    is_int(find(3, 31, 1).id, 31, "a second entry is taken if it is good");

    v2_users_begin(us, 3, PANEL);
    put(30, 1);
    item = item_of(31, 1);
    item.cred.len = 0;
    v2_users_put(us, &item);
    v2_users_commit(us, &st);
    ok(st.changed == 1 && !known(3, 31, 1), "no credential, no key");
    v2_users_begin(us, 3, PANEL);
    put(30, 1);
    put(31, 1);
    v2_users_commit(us, &st);
    ok(st.changed == 1 && known(3, 31, 1), "and back");
}


/* Removed, put again while it is still being removed, and freed at last. */
static void
test_remove(void)
{
    found_t   f, g;
    uint32_t  row, n;

    v2_users_begin(us, 3, PANEL);
    put(40, 1);
    v2_users_commit(us, &st);
    f = find(3, 40, 1);
    row = admit(0, &f, 1, 1);

    v2_users_begin(us, 3, PANEL);
    v2_users_commit(us, &st);
    is_int(st.removed, 1, "an empty list means nobody");
    is_int(v2_meter.stale(shm, 0, row), 1, "the flow is told");
    is_int(admit(0, &f, 1, 0), V2_NONE, "no other opens");
    world_turn();
    is_int(v2_shm_account(shm, f.account)->state, V2_REC_CLOSING,
           "the account waits for the flow");

    v2_users_begin(us, 3, PANEL);
    put(40, 1);
    v2_users_commit(us, &st);
    is_int(st.added, 1, "the user comes back");
    g = find(3, 40, 1);
    is_int(g.account, f.account, "to the same account");
    is_int(v2_meter.stale(shm, 0, row), 1, "the old flow ends all the same");
    v2_meter.count(shm, 0, row, 1, 7);
    v2_meter.leave(shm, 0, row);
    world_turn();
    is_int(v2_shm_account(shm, f.account)->state, V2_REC_LIVE, "he stays");

    v2_users_begin(us, 3, PANEL);
    v2_users_commit(us, &st);
    world_turn();
    world_turn();
    is_int(v2_shm_account(shm, f.account)->state, V2_REC_CLOSING,
           "the account waits for what it owes");
    n = v2_bill_prepare(shm, 3, 0, 0);
    v2_bill_settle(shm, 3);
    world_turn();
    is_int(v2_shm_account(shm, f.account)->state, V2_REC_FREE,
           "and is freed when it is paid (%u lines)", n);
    ok(v2_shm_account(shm, f.account)->gen > g.gen, "its life is over");
    is_int(admit(0, &g, 1, 0), V2_NONE, "late comers see that");
}


static void
test_grace(void)
{
    found_t   f;
    uint32_t  k;

    v2_users_begin(us, 3, PANEL);
    put(50, 1);
    v2_users_commit(us, &st);
    f = find(3, 50, 1);
    k = f.key;

    v2_users_begin(us, 3, PANEL);
    v2_users_commit(us, &st);
    v2_users_sweep(us);
    is_int(v2_shm_key(shm, k)->state, V2_REC_CLOSING,
           "a key waits for the turn that may look at it");
    is_int(v2_shm_account(shm, f.account)->state, V2_REC_CLOSING,
           "so does the account");
    v2_shm_turn(shm, proc);
    v2_users_sweep(us);
    is_int(v2_shm_key(shm, k)->state, V2_REC_FREE, "the next turn frees it");
    is_int(v2_shm_account(shm, f.account)->state, V2_REC_FREE, "both");
}


static void
test_slots(void)
{
    found_t   f, g;
    uint32_t  row;

    v2_users_node(us, 4, 222, 13);
    v2_users_begin(us, 4, PANEL);
    put(40, 1);
    v2_users_commit(us, &st);
    v2_users_begin(us, 3, PANEL);
    put(40, 1);
    v2_users_commit(us, &st);

    f = find(3, 40, 1);
    g = find(4, 40, 1);
    ok(f.account != g.account, "a user has an account a node");
    is_int(v2_shm_account(shm, f.account)->user,
           v2_shm_account(shm, g.account)->user, "and is one user");

    row = admit(0, &g, 1, 0);
    is_int(v2_users_node(us, 4, 333, 14), V2_AGAIN,
           "a slot with flows is not given away");
    ok(!known(4, 40, 1) && known(3, 40, 1), "but its users are gone");
    is_int(v2_meter.stale(shm, 0, row), 1, "and told");
    v2_meter.leave(shm, 0, row);
    world_turn();
    is_int(v2_users_node(us, 4, 333, 14), V2_OK, "then it is");
    ok(shm->nodes[4].node_id == 14 && shm->nodes[4].name_hash == 333,
       "to the new node");

    v2_users_node_close(us, 3);
    ok(!known(3, 40, 1), "a closed node knows nobody");
    is_int(v2_users_node(us, 3, 111, 12), V2_OK, "it may come back");
    is_int(shm->nodes[3].state, V2_REC_FILLING, "with a new list");
    v2_users_begin(us, 3, PANEL);
    put(40, 1);
    v2_users_commit(us, &st);
    ok(known(3, 40, 1), "of users");

    v2_users_node_close(us, 3);
    world_turn();
    is_int(shm->nodes[3].state, V2_REC_FREE, "an empty slot is free");
}


static void
test_restart(void)
{
    found_t   f;
    uint32_t  i, bad = 0;

    v2_users_node(us, 3, 111, 12);
    v2_users_begin(us, 3, PANEL);
    for (i = 0; i < 2000; i++) {
        put(i, 1);
    }
    v2_users_commit(us, &st);

    v2_users_begin(us, 3, PANEL);
    for (i = 0; i < 500; i++) {
        put(i, 2);
    }
    f = find(3, 7, 2);
    world_restart();
    is_int(find(3, 7, 2).account, f.account,
           "who dies within a list leaves its users");
    for (i = 0; i < 2000; i++) {
        bad += !known(3, i, i < 500 ? 2 : 1);
    }
    is_int(bad, 0, "each with the key he had");

    v2_users_begin(us, 3, PANEL);
    for (i = 0; i < 1000; i++) {
        put(i, 2);
    }
    v2_users_commit(us, &st);
    ok(st.same == 500 && st.changed == 500 && st.removed == 1000,
       "the next list is compared with what is there");
    world_turn();
    world_restart();
    v2_users_begin(us, 3, PANEL);
    v2_users_commit(us, &st);
    is_int(st.removed, 1000, "removed users are not found again");
    world_turn();
    world_turn();
}


static void
list_of(uint32_t n, uint32_t version)
{
    uint32_t  i;

    v2_users_begin(us, 3, PANEL);
    for (i = 0; i < n; i++) {
        put(i, version);
    }
    v2_users_commit(us, &st);
}


/* Nobody's search may lose the table that it is in. */
static void
test_tables(void)
{
    uint32_t  t, i, words, bad = 0, most = 0;

    list_of(100, 1);
    world_turn();
    t = shm->index;
    list_of(3000, 1);
    ok(shm->index != t, "many users need a bigger table");
    v2_users_sweep(us);
    for (words = 0, i = 0; i <= shm->index_mask[t]; i++) {
        words += v2_shm_words(shm, t)[i] > 1;
    }
    ok(shm->index_mask[t] != 0 && words >= 100,
       "the old one stays as long as a turn may read it");
    world_turn();
    world_turn();
    is_int(shm->index_mask[t], 0, "then it goes");
    is_int(v2_shm_words(shm, t)[7], 0, "empty");

    for (i = 0; i < 60; i++) {
        list_of(300, i);
        world_turn();
        bad += !known(3, i, i) || known(3, i, i + 1);
        most = v2_max(most, shm->index_mask[shm->index]);
    }
    is_int(bad, 0, "keys that change for ever");
    ok(most < 16384 && shm->index_mask[shm->index] < 4096,
       "do not fill tables: %u", shm->index_mask[shm->index] + 1);

    for (i = 0; i < 60; i++) {
        list_of(300, 100 + i);
    }
    for (bad = 0, i = 0; i < 300; i++) {
        bad += !known(3, i, 159);
    }
    is_int(bad, 0, "also while no grace passes");
    list_of(0, 0);
    world_turn();
    world_turn();
}


static uint64_t
ns_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}


static void
test_many(void)
{
    long       kib, idle;
    uint32_t   i, bad = 0, n = 100000;
    uint64_t   t0, t1, t2, t3;

    idle = world_kib();
    t0 = ns_now();
    v2_users_begin(us, 3, PANEL);
    for (i = 0; i < n; i++) {
        bad += put(i * 7919ull, 1) != V2_OK;
    }
    v2_users_commit(us, &st);
    t1 = ns_now();
    is_int(bad, 0, "100 000 users");
    is_int(st.added, n, "all new");

    v2_users_begin(us, 3, PANEL);
    for (i = 0; i < n; i++) {
        put(i * 7919ull, 1);
    }
    v2_users_commit(us, &st);
    t2 = ns_now();
    is_int(st.same, n, "all the same");

    for (i = 0; i < n; i++) {
        bad += !known(3, i * 7919ull, 1);
    }
    t3 = ns_now();
    is_int(bad, 0, "all found");
    world_turn();
    kib = world_kib();

    diag("put new %" PRIu64 " ns, same %" PRIu64 " ns, find %" PRIu64 " ns, "
         "%ld KiB shared (%ld before), table of %u words",
         (t1 - t0) / n, (t2 - t1) / n, (t3 - t2) / n, kib, idle,
         shm->index_mask[shm->index] + 1);
    ok(kib < 36 * 1024, "the memory follows");

    t0 = ns_now();
    world_restart();
    diag("open with 100 000 users: %" PRIu64 " us", (ns_now() - t0) / 1000);

    v2_users_begin(us, 3, PANEL);
    put(0, 1);
    v2_users_commit(us, &st);
    is_int(st.removed, n - 1, "all but one removed");
    world_turn();
    world_turn();
    ok(known(3, 0, 1), "the one stays");
    is_int(shm->index_mask[shm->index], 1023, "the table is small again");
    ok(world_kib() < kib - 1000, "and its memory given back: %ld KiB",
       world_kib());
}


int
main(void)
{
    world_open();
    world_worker(0);
    v2_log_set_level(V2_LOG_EMERG);

    test_node();
    test_list();
    test_abort();
    test_key();
    test_swap();
    test_refuse();
    test_remove();
    test_grace();
    test_slots();
    test_restart();
    test_tables();
    test_many();

    world_close();

    return done_testing();
}
