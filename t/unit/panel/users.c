/* needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c
 * needs: src/core/v2_flat.c src/panel/v2_panel_scan.c
 * needs: src/panel/v2_panel_text.c src/panel/v2_panel_alivelist.c */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_panel_answer.h"
#include "../tap.h"
#include "codec.h"
#include "../../../src/panel/v2_panel_users.c"

#define PUT_MAX  200000

static struct {
    unsigned          begun, committed, aborted, n;
    v2_int_t          begin_rc;
    v2_users_item_t   put[PUT_MAX];
} list;

static v2_spec_t          spec;
static v2_users_answer_t  a;


v2_int_t
v2_users_begin(v2_users_t *us, uint32_t slot, uint32_t panel)
{
    (void) us;
    (void) slot;
    (void) panel;
    list.begun++;
    return list.begin_rc;
}


v2_int_t
v2_users_put(v2_users_t *us, const v2_users_item_t *item)
{
    (void) us;
    list.put[list.n++ % PUT_MAX] = *item;
    return V2_OK;
}


void
v2_users_commit(v2_users_t *us, v2_users_stat_t *stat)
{
    (void) us;
    memset(stat, 0, sizeof(*stat));
    stat->total = list.n;
    list.committed++;
}


void
v2_users_abort(v2_users_t *us)
{
    (void) us;
    list.aborted++;
}


static v2_int_t
apply(const char *body)
{
    memset(&list, 0, sizeof(list));

    return v2_answer_users(body, strlen(body), &spec, 0, 1, NULL, &a);
}


static void
test_plain(void)
{
    static const char  body[] =
        "{\n  \"users\": [\n    {\n      \"id\": 1001,\n"
        "      \"uuid\": \"3f1c8a52-7d0e-4b69-9a41-5c2f6e0b1d01\",\n"
        "      \"speed_limit\": 0,\n      \"device_limit\": 0\n    },\n"
        "    {\n      \"id\": 1002,\n"
        "      \"uuid\": \"8b62d4e0-1f37-4c8a-b1d5-0e9a7c3f2b02\",\n"
        "      \"speed_limit\": 100,\n      \"device_limit\": 0,\n"
        "      \"conn_limit\": 3\n    }\n  ]\n}\n";

    is_int(apply(body), V2_OK, "a plain list");
    is_int(list.n, 2, "two users");
    is_int(list.committed, 1, "committed once");
    is_int(list.put[0].id, 1001, "first id");
    is_int(list.put[0].rate, 0, "no limit");
    is_int(list.put[1].rate, 12500000, "100 Mbit/s in bytes");
    is_int(list.put[1].conn_limit, 3, "connections");
    is_int(list.put[1].cred.len, 16, "a credential");
    is_int(a.limited, 1, "one with a limit of connections");
    is_int(a.skipped, 0, "none left out");
    ok(list.put[0].uuid_hash != list.put[1].uuid_hash, "hashes differ");
}


static void
test_messy(void)
{
    static const char  body[] =
        "{\"users\":["
        "{\"id\":\"1001\",\"uuid\":\"3F1C8A52-7D0E-4B69-9A41-5C2F6E0B1D01\","
        "\"speed_limit\":null,\"device_limit\":null},"
        "{\"id\":1002,\"uuid\":\"8b62d4e0-1f37-4c8a-b1d5-0e9a7c3f2b02\","
        "\"speed_limit\":\"100\"},"
        "{\"id\":1003,\"uuid\":\"c0a5e917-62bb-4d1e-8f70-24d9ab6e5c03\","
        "\"device_limit\":\"2\",\"extra\":{\"a\":[1,{\"id\":5}]}},"
        "{\"id\":1004,\"uuid\":\"e7d94b26-85c3-47fa-9e12-6ab0f8d13704\"},"
        "{\"id\":1004,\"uuid\":\"e7d94b26-85c3-47fa-9e12-6ab0f8d13704\"},"
        "{\"id\":1005,\"uuid\":\"\"},"
        "{\"id\":0,\"uuid\":\"00000000-0000-0000-0000-000000000000\"},"
        "{\"id\":1007,\"uuid\":\"short\"},"
        "{\"id\":-3,\"uuid\":\"3f1c8a52-7d0e\"},"
        "{\"uuid\":\"3f1c8a52-7d0e\"},"
        "{\"id\":1008},"
        "17,null,[],\"x\","
        "{\"id\":1009,\"uuid\":\"3f1c8a52\\u002d7d0e\"}"
        "]}";

    is_int(apply(body), V2_OK, "a messy list");
    is_int(a.entries, 16, "entries");
    is_int(list.n, 6, "usable ones, a double one among them");
    is_int(a.skipped, 10, "left out");
    is_str(a.first, "user 1005 has no uuid", "the first of them is named");
    is_int(list.put[0].id, 1001, "an id as text");
    is_int(list.put[1].rate, 12500000, "a speed as text");
    is_int(list.put[2].device_limit, 2, "devices as text");
    is_int(list.put[5].id, 1009, "the last one, whose uuid has an escape");
    is_int(a.limited, 1, "one limit");
}


static void
test_nobody(void)
{
    is_int(apply("{\"users\":[]}"), V2_OK, "[] is a list");
    is_int(list.committed, 1, "of nobody");
    is_int(list.n, 0, "indeed");

    is_int(apply("{\"users\":{\"0\":{\"id\":7,\"uuid\":\"abcdefgh\"},"
                 "\"2\":{\"id\":8,\"uuid\":\"ijklmnop\"}}}"), V2_OK,
           "a list with holes, as PHP writes it");
    is_int(list.n, 2, "has its users");
}


static void
test_refused(void)
{
    size_t  i;

    static const char *const  bad[] = {
        "", "{}", "[]", "null", "{\"users\":null}", "{\"users\":{}}",
        "{\"users\":\"\"}", "{\"users\":0}",
        "{\"status\":\"fail\",\"message\":\"token is error\"}",
        "<html><body>\"users\":[]</body></html>",
        "{\"users\":[{\"id\":1,\"uuid\":\"abcdefgh\"}",
        "{\"users\":[{\"id\":1,\"uuid\":\"abcdefgh\"}]",
        "{\"users\":[{\"id\":1,\"uuid\":\"abcdefgh\"}]}x",
        "{\"users\":[{\"id\":1,\"uuid\":\"abcdefgh\"},]}",
        "{\"users\":[{\"id\":1 \"uuid\":\"abcdefgh\"}]}",
        "{\"data\":{\"users\":[]}}"
    };

    for (i = 0; i < v2_nelems(bad); i++) {
        is_int(apply(bad[i]), V2_ERROR, "no list: bad[%zu]", i);
        ok(list.begun == 0 && list.n == 0, "nothing was touched");
        ok(a.why[0] != '\0', "it is said why");
    }
}


static void
test_again(void)
{
    static const char  body[] =
        "{\"users\":[{\"id\":1,\"uuid\":\"abcdefgh\"}]}";

    memset(&list, 0, sizeof(list));
    list.begin_rc = V2_ERROR;

    is_int(v2_answer_users(body, sizeof(body) - 1, &spec, 0, 1, NULL, &a),
           V2_AGAIN, "a node that is busy is asked again");
    is_int(list.committed, 0, "nothing was committed");
}


static void
test_many(void)
{
    char             *body, *p;
    unsigned          i;
    struct timespec   t0, t1;
    double            s;

    body = malloc(16u << 20);
    p = body;
    p += sprintf(p, "{\"users\":[");

    for (i = 0; i < 100000; i++) {
        p += sprintf(p, "%s{\"id\":%u,\"uuid\":\"3f1c8a52-7d0e-4b69-9a41-%012x"
                     "\",\"speed_limit\":%u,\"device_limit\":0}",
                     i ? "," : "", i + 1, i, i % 100);
    }

    sprintf(p, "]}");

    (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
    is_int(apply(body), V2_OK, "a hundred thousand users");
    (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);

    s = (double) (t1.tv_sec - t0.tv_sec)
        + (double) (t1.tv_nsec - t0.tv_nsec) / 1e9;
    diag("%.3f s of CPU without the table", s);
    is_int(list.n, 100000, "all put");
    ok(s < 1.0, "in a fraction of a second");

    free(body);
}


static void
test_alive(void)
{
    char            why[64];
    v2_alive_map_t  map;

    memset(&map, 0, sizeof(map));

#define alive(s)  v2_answer_alive(s, strlen(s), &map, why, sizeof(why))

    is_int(alive("{\"alive\":{\"1003\":2,\"1004\":\"1\",\"x\":1}}"), V2_OK,
           "an alive list");
    is_int(map.n, 2, "two users");
    is_int(map.list[1].count, 1, "a count as text");

    is_int(alive("{\"message\":\"no\"}"), V2_ERROR, "none");
    is_int(alive("{\"alive\":{\"1\":1}"), V2_ERROR, "cut off");
    is_int(map.n, 2, "the old one is kept");

    is_int(alive("{\"alive\":[]}"), V2_OK, "[] is empty");
    is_int(map.n, 0, "indeed");

    free(map.list);
}


int
main(void)
{
    strcpy(spec.protocol, "vless");

    test_plain();
    test_messy();
    test_nobody();
    test_refused();
    test_again();
    test_many();
    test_alive();
    done_testing();
}
