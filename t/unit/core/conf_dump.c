/* The table of keys, and what is printed from it: dump, manual, example.
 *
 * needs: src/core/v2_conf.c src/core/v2_conf_docs.c src/core/v2_conf_dump.c
 * needs: src/core/v2_conf_json.c src/core/v2_conf_keys.c
 * needs: src/core/v2_conf_node.c src/core/v2_conf_text.c
 * needs: src/core/v2_conf_tree.c
 * needs: src/core/v2_conf_value.c src/core/v2_conf_walk.c
 * needs: src/core/v2_log.c src/core/v2_time.c src/core/v2_addr.c
 * needs: src/core/v2_core.c
 * libs: -ljansson */

#include "conf_test.h"


/* Invariants 1 to 4 of the table. */
static void
test_table(void)
{
    char                   head[128];
    char                  *dot;
    size_t                 i, j, len;
    v2_conf_value_t        v;
    const v2_conf_row_t   *row;

    for (i = 0; i < v2_conf_rows_n; i++) {
        row = &v2_conf_rows[i];

        ok(row->text != NULL && row->text[strlen(row->text) - 1] == '.',
           "%s has a text", row->path);
        ok(v2_conf_row_find(row->path) == row, "%s is found", row->path);

        if (row->def != NULL) {
            ok(v2_conf_value_default(row, &v) == V2_OK
               && v2_conf_value_is_default(row, &v),
               "%s: its default is allowed", row->path);
            v2_conf_value_done(&v);
        }

        strcpy(head, row->path);
        dot = strrchr(head, '.');

        if (dot == NULL || i == 0) {
            continue;
        }

        *dot = '\0';
        len = strlen(head);
        len -= len > 2 && strcmp(head + len - 2, "[]") == 0 ? 2 : 0;

        for (j = i - 1; j > 0
                        && strncmp(v2_conf_rows[j].path, head, len) == 0
                        && strlen(v2_conf_rows[j].path) > len; j--)
        { /* void */ }

        ok(strncmp(v2_conf_rows[j].path, head, len) == 0
           && strlen(v2_conf_rows[j].path) == len,
           "%s stands with its container", row->path);
    }
}


/* The whole dump parses to an equal configuration without a word. */
static void
round_trip(v2_conf_t *c, const char *what)
{
    char       *one, *two;
    uint32_t    i, same;
    v2_conf_t  *again;

    one = v2_conf_dump(c, 1);
    again = parse(one);

    is_str(log_read(), "", "%s: the dump is read silently", what);
    ok(again != NULL, "%s: the dump parses", what);

    if (again != NULL) {
        two = v2_conf_dump(again, 1);
        is_str(two, one, "%s: to the same", what);
        free(two);

        for (i = 0, same = again->nodes_n == c->nodes_n;
             i < c->nodes_n && same; i++)
        {
            same = strcmp(again->nodes[i].tag, c->nodes[i].tag) == 0
                   && (again->nodes[i].refused == NULL)
                      == (c->nodes[i].refused == NULL);
        }

        ok(same, "%s: same nodes, same refusals", what);
    }

    free(one);
    v2_conf_free(again);
    v2_conf_free(c);
}


static void
test_dump(void)
{
    char       *text;
    size_t      i;
    v2_conf_t  *c, *again;

    static const char *const secrets[] = { "sec-key", "sec-env", "sec-token",
                                           "sec-pass", "sec-query" };

    static const char config[] =
        "{ \"Workers\": 2,\n\"Log\": { \"Level\": \"none\" }, \"Nodes\": [ {"
        " \"ApiHost\": \"https://p.test/x?t=sec-query\", \"ApiKey\":"
        " \"sec-key\",\n\"NodeID\": 4, \"CertConfig\": { \"DNSEnv\": {"
        " \"A\": \"sec-env\" } }, \"LimitConfig\": { \"IpRecorderConfig\": {"
        " \"RecorderConfig\": { \"Token\": \"sec-token\" }, \"RedisConfig\": {"
        " \"Password\": \"sec-pass\" } } } },\n{ " NODE
        ", \"EnableTFO\": true, \"EnableXTLS\": true, \"Unknown\": 1 }, {},"
        " 7 ] }";

    c = parse(config);
    text = v2_conf_dump(c, 0);

    for (i = 0; i < v2_nelems(secrets); i++) {
        ok(strstr(text, secrets[i]) == NULL, "masked: %s", secrets[i]);
        ok(strstr(log_read(), secrets[i]) == NULL, "not logged: %s",
           secrets[i]);
    }

    ok(strstr(text, "\"Workers\": 2,  // /conf/test.json:1\n") != NULL,
       "origin: line");
    ok(strstr(text, "\"NodeID\": 4,  // /conf/test.json:3\n") != NULL,
       "origin: line in a node");
    ok(strstr(text, "\"Engine\": \"auto\",  // default\n") != NULL,
       "origin: default");
    ok(strstr(text, "// does not start: \"Nodes[1].EnableTFO\"") != NULL,
       "a refused node says why");
    ok(strstr(text, "\"EnableTFO\": true,") != NULL, "as it was written");

    again = parse(text);
    ok(again != NULL && again->nodes_n == 4, "the masked dump parses");
    ok(again->nodes[0].refused == NULL && again->nodes[1].refused != NULL,
       "to the same refusals");
    v2_conf_free(again);
    free(text);

    log_start();
    again = v2_conf_parse(config, strlen(config), NAME, "Workers=4", 1);
    text = v2_conf_dump(again, 0);
    ok(strstr(text, "\"Workers\": 4,  // -g\n") != NULL, "origin: -g");
    free(text);
    v2_conf_free(again);

    round_trip(c, "faults");
    round_trip(parse_top(""), "minimal");
    round_trip(parse_top("\"Cores\": [{ \"Log\": { \"AccessPath\": \"none\" },"
                         " \"RouteConfigPath\": \"r\\\"//\" }],"
                         " \"WorkerMemory\": \"1g\", \"Daemon\": \"off\""),
               "core");
    round_trip(parse_node("\"NodeType\": \"trojan\", \"SendIP\": \"origin\","
                          " \"FallBackConfigs\": [{ \"Dest\": \"80\" }],"
                          " \"CertConfig\": { \"CertMode\": \"content\","
                          " \"DNSEnv\": { \"A\": \"x\\ny\" } }"), "node");
    round_trip(parse("{ \"Cores\": [{ \"Name\": \"one\" }, { \"Name\":"
                     " \"two\" }], \"Nodes\": [{ " NODE ", \"CoreName\":"
                     " \"two\" }] }"), "two cores");
    round_trip(parse_node("\"Name\": \"\xe8\x8a\x82\xe7\x82\xb9\","
                          " \"Timeout\": \"\xe8\x8a\x82\""), "UTF-8");
}


static char *
print(void (*doc)(FILE *f))
{
    FILE    *f;
    char    *text;
    size_t   len;

    f = open_memstream(&text, &len);
    doc(f);
    fclose(f);

    return text;
}


static void
test_docs(void)
{
    char                  *man, *example, *one, *two, want[160];
    unsigned               i;
    v2_conf_t             *c, *plain;
    const v2_conf_row_t   *row;

    man = print(v2_conf_print_man);
    example = print(v2_conf_print_example);

    for (i = 0; i < v2_conf_rows_n; i++) {
        row = &v2_conf_rows[i];

        if (row->flags & V2_CONF_HIDDEN) {
            continue;
        }

        snprintf(want, sizeof(want), ".It Ic %s\n", row->path);
        ok(strstr(man, want) != NULL, "in the manual: %s", row->path);
        snprintf(want, sizeof(want), "\"%s\": ", v2_conf_row_leaf(row));
        ok(strstr(example, want) != NULL, "in the example: %s", row->path);
    }

    ok(strstr(man, "Dumped") == NULL && strstr(man, "Refused") == NULL,
       "our own keys are not in the manual");

    c = parse(example);
    is_str(log_read(), "", "the example parses without a word");
    ok(c != NULL && c->nodes_n == 1 && c->nodes[0].refused == NULL,
       "the example would start");

    plain = parse_top("");

    for (i = 0; i < v2_conf_rows_n && c != NULL; i++) {
        row = &v2_conf_rows[i];

        if (v2_conf_row_is_node(row) || row->field == V2_CONF_NOFIELD) {
            continue;
        }

        one = v2_conf_value_json(row, c, NULL, 0);
        two = v2_conf_value_json(row, plain, NULL, 0);
        is_str(one, two, "the example has the default of %s", row->path);
        free(one);
        free(two);
    }

    v2_conf_free(plain);
    v2_conf_free(c);
    free(man);
    free(example);
}


static void
test_needs_workers(void)
{
    size_t      i;
    v2_conf_t  *a, *b;

    static const say_t cases[] = {      /* line: new workers are needed */
        { "\"Workers\": 2", "" },
        { "\"User\": \"x\"", "" },
        { "\"Group\": \"x\"", "" },
        { "\"Engine\": \"epoll\"", "" },
        { "\"WorkerAffinity\": \"auto\"", "" },
        { "\"WorkerMemory\": \"64m\"", NULL },
        { "\"Log\": { \"Level\": \"debug\" }", NULL },
        { "\"Workers\": \"0\"", NULL },
    };

    a = parse_top("");

    for (i = 0; i < v2_nelems(cases); i++) {
        b = parse_top(cases[i].member);
        is_int(v2_conf_needs_workers(a, b), cases[i].line != NULL,
               "new workers for %s", cases[i].member);
        v2_conf_free(b);
    }

    v2_conf_free(a);
}


int
main(void)
{
    log_open();

    test_table();
    test_dump();
    test_docs();
    test_needs_workers();

    return done_testing();
}
