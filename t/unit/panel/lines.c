/* needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c
 * needs: src/core/v2_addr.c src/panel/v2_panel_text.c */

#include "v2_config.h"
#include "v2_core.h"
#include "../tap.h"
#include "../../../src/panel/v2_panel_lines.c"

typedef struct {
    uint64_t     user;
    const char  *ip;
    uint64_t     traffic;
} seen_t;

static const seen_t          *seen;
static size_t                 seen_n;
static const v2_bill_line_t  *lines;
static size_t                 lines_n;


void
v2_bill_alive(v2_shm_t *shm, uint32_t node, uint32_t since, v2_alive_pt addr,
    void *owner)
{
    size_t     i;
    v2_addr_t  ip;

    (void) shm;
    (void) node;
    (void) since;

    for (i = 0; i < seen_n; i++) {
        memset(&ip, 0, sizeof(ip));
        (void) v2_addr_parse(&ip, seen[i].ip);
        addr(owner, seen[i].user, &ip, seen[i].traffic);
    }
}


void
v2_bill_lines(v2_shm_t *shm, uint32_t node, v2_bill_pt line, void *owner)
{
    size_t  i;

    (void) shm;
    (void) node;

    for (i = 0; i < lines_n; i++) {
        line(owner, &lines[i]);
    }
}


static void
test_batch(void)
{
    v2_lines_t  l;

    static const v2_bill_line_t  some[] = {
        { 1001, 104857600, 209715200 }, { 1002, 0, 52428800 },
        { UINT64_MAX, UINT64_MAX, 1 }
    };

    v2_lines_batch(NULL, 0, &l);
    is_str(l.text.data, "{}", "an empty batch");
    v2_text_done(&l.text);

    lines = some;
    lines_n = 3;
    v2_lines_batch(NULL, 0, &l);
    is_str(l.text.data, "{\"1001\":[104857600,209715200],"
           "\"1002\":[0,52428800],\"18446744073709551615\":"
           "[18446744073709551615,1]}", "a batch");
    is_int(l.users, 3, "three users");
    is_int(l.down, 209715200 + 52428800 + 1, "their sum");
    v2_text_done(&l.text);
}


static v2_int_t
online(const seen_t *s, size_t n, uint64_t min_bytes,
    const v2_online_t *before, v2_online_t *now, v2_text_t *out)
{
    seen = s;
    seen_n = n;

    return v2_lines_online(NULL, 0, 0, min_bytes, before, now, out);
}


static void
test_online(void)
{
    uint64_t     known[] = { 5, 30, 40 };
    v2_text_t    out;
    v2_online_t  now, none, before;

    static const seen_t  some[] = {
        { 30, "198.51.100.7", 10000 }, { 10, "2001:db8::10", 10 },
        { 10, "192.0.2.10", 10 }, { 20, "192.0.2.20", 5000 }
    };

    memset(&none, 0, sizeof(none));

    is_int(online(NULL, 0, 0, &none, &now, &out), V2_OK, "nobody");
    is_str(out.data, "{}", "is {}");
    v2_text_done(&out);

    is_int(online(some, 4, 0, &none, &now, &out), V2_OK, "some");
    is_str(out.data, "{\"10\":[\"192.0.2.10\",\"2001:db8::10\"],"
           "\"20\":[\"192.0.2.20\"],\"30\":[\"198.51.100.7\"]}",
           "one member a user, addresses without ports");
    is_int(now.n, 3, "three users");
    v2_text_done(&out);
    free(now.user);

    before.user = known;
    before.n = 3;
    is_int(online(some, 4, 5000, &before, &now, &out), V2_OK,
           "with a least traffic, and others before");
    is_str(out.data, "{\"5\":[],\"20\":[\"192.0.2.20\"],"
           "\"30\":[\"198.51.100.7\"],\"40\":[]}",
           "who left has no address, once");
    is_int(now.n, 2, "only those who are here are remembered");
    v2_text_done(&out);
    free(now.user);
}


static void
test_join(void)
{
    uint32_t     i;
    uint64_t     two[] = { 2, 3, 9 };
    v2_online_t  x, y;

    static const uint64_t  want[] = { 1, 2, 3, 7, 9 };

    x.user = malloc(3 * sizeof(uint64_t));
    x.user[0] = 1;
    x.user[1] = 3;
    x.user[2] = 7;
    x.n = 3;
    y.user = two;
    y.n = 3;

    is_int(v2_online_join(&x, &y), V2_OK, "joined");
    is_int(x.n, 5, "each once");

    for (i = 0; i < 5; i++) {
        is_int(x.user[i], want[i], "in order");
    }

    free(x.user);
}


int
main(void)
{
    test_batch();
    test_online();
    test_join();
    done_testing();
}
