/* Which way a flow goes: tables of rules, destinations and answers. */
/* needs: src/route/v2_route.c src/route/v2_route_compile.c */
/* needs: src/route/v2_route_json.c src/route/v2_route_default.c */
/* needs: src/route/v2_route_ranges.c src/core/v2_conf_json.c */
/* needs: src/core/v2_flat.c src/core/v2_addr.c src/core/v2_log.c */
/* needs: src/core/v2_time.c src/core/v2_core.c */
/* libs: -ljansson */

#include "route_test.h"


/* The file that the older backends ship. */
static const char  shipped[] =
    "{\"domainStrategy\": \"AsIs\", \"rules\": ["
    "{\"type\": \"field\", \"outboundTag\": \"block\", \"ip\": ["
    "\"geoip:private\"]},"
    "{\"type\": \"field\", \"outboundTag\": \"block\", \"ip\": ["
    "\"127.0.0.1/32\", \"10.0.0.0/8\", \"fc00::/7\", \"fe80::/10\","
    "\"172.16.0.0/12\"]},"
    "{\"type\": \"field\", \"outboundTag\": \"IPv4_out\","
    "\"network\": \"udp,tcp\"}]}";


static void
test_no_rules(void)
{
    size_t  i;

    static const char *const  files[] = {
        NULL, "{}", "{\"rules\": []}", "{\"rules\": null}",
        "\xef\xbb\xbf{ /* none */ \"domainStrategy\": \"asis\", }",
    };

    for (i = 0; i < v2_nelems(files); i++) {
        is_int(compile(files[i]), V2_OK, "no rules, form %zu: %s", i, why);
        is_int(v2_router.check(block, block_len), V2_OK, "... checks");
        is_str(route_of("n", "8.8.8.8", 53, UDP, NULL),
               "direct any, default", "... goes out");
        is_str(route_of("n", "name.example", 443, TCP, NULL),
               "direct any, default", "... a name is to be resolved");
        is_str(route_of("n", "name.example", 443, TCP, "10.1.2.3"),
               "block, private address", "... and looked at again");
        is_str(route_of("n", "127.0.0.1", 80, TCP, NULL),
               "block, private address", "... private is refused");
    }
}


static void
test_shipped(void)
{
    size_t  i;

    static const char *const  rows[][3] = {
        { "8.8.8.8", NULL, "direct 46, rule 3" },
        { "2001:4860::1", NULL, "direct 46, rule 3" },
        { "name.example", NULL, "direct 46, rule 3" },
        { "name.example", "8.8.8.8", "direct 46, rule 3" },
        { "name.example", "10.0.0.1", "block, rule 1" },
        { "10.0.0.1", NULL, "block, rule 1" },
        { "::1", NULL, "block, rule 1" },
        { "::ffff:10.0.0.1", NULL, "block, rule 1" },
        { "64:ff9b::10.0.0.1", NULL, "block, rule 1" },
        { "2002:a00:1::1", NULL, "block, private address" },
        { "fd00:ec2::254", NULL, "block, rule 1" },
        { "169.254.169.254", NULL, "block, rule 1" },
        { "203.0.113.9", NULL, "block, rule 1" },
    };

    is_int(compile(shipped), V2_OK, "the shipped file: %s", why);

    for (i = 0; i < v2_nelems(rows); i++) {
        is_str(route_of("n", rows[i][0], 443, TCP, rows[i][1]), rows[i][2],
               "%s%s%s", rows[i][0], rows[i][1] ? " at " : "",
               rows[i][1] ? rows[i][1] : "");
    }
}


static void
test_conditions(void)
{
    size_t  i;

    static const struct {
        const char  *in, *host;
        unsigned     port;
        int          udp;
        const char  *want;
    } rows[] = {
        { "a", "8.8.8.8", 25, TCP, "block, mail" },
        { "a", "8.8.8.8", 25, UDP, "direct any, last" },
        { "a", "8.8.8.8", 464, TCP, "direct any, last" },
        { "a", "8.8.8.8", 465, TCP, "block, mail" },
        { "a", "8.8.8.8", 6880, TCP, "direct any, last" },
        { "a", "8.8.8.8", 6881, TCP, "block, mail" },
        { "a", "8.8.8.8", 6999, TCP, "block, mail" },
        { "a", "8.8.8.8", 7000, TCP, "direct any, last" },
        { "a", "8.8.8.8", 443, UDP, "block, rule 2" },
        { "a", "8.8.8.8", 443, TCP, "direct any, last" },
        { "one", "8.8.8.8", 80, TCP, "direct 46, rule 3" },
        { "two", "8.8.8.8", 80, UDP, "direct 46, rule 3" },
        { "One", "8.8.8.8", 80, TCP, "direct any, last" },
        { "on", "8.8.8.8", 80, TCP, "direct any, last" },
        { "six", "2606:4700::1", 80, TCP, "direct 6, rule 4" },
        { "six", "8.8.8.8", 80, TCP, "block, outbound is for IPv6 only" },
        { "six", "name.example", 80, TCP, "direct 6, rule 4" },
        { "a", "10.0.0.7", 22, TCP, "direct any ip, rule 5" },
        { "a", "10.0.0.7", 23, TCP, "block, private address" },
        { "a", "10.0.0.8", 22, TCP, "block, private address" },
        { "a", "64:ff9b::10.0.0.7", 22, TCP, "direct any ip, rule 5" },
        { "a", "1.2.3.4", 80, TCP, "block, rule 6" },
        { "a", "64:ff9b::1.2.3.4", 80, TCP, "block, rule 6" },
        { "a", "name.example", 22, TCP, "direct any, last" },
        { "a", "name.example", 0, TCP, "block, zero" },
        { "a", "8.8.8.8", 65535, TCP, "block, zero" },
    };

    is_int(compile(
        "{\"rules\": ["
        "{\"ruleTag\": \"mail\", \"network\": \"tcp\", "
        " \"port\": \"25, 465,587,6881-6999\", \"outboundTag\": \"block\"},"
        "{\"network\": [\"UDP\"], \"port\": 443, \"outboundTag\": \"block\"},"
        "{\"inboundTag\": [\"one\", \"two\"], \"outboundTag\": \"IPv4_out\"},"
        "{\"inboundTag\": \"x, six\", \"outboundTag\": \"IPv6_out\"},"
        "{\"ip\": \"10.0.0.7\", \"port\": \"22\","
        " \"outboundTag\": \"direct\"},"
        "{\"ip\": [\"1.2.3.0/24\", \"1.2.0.0/16\"],"
        " \"outboundTag\": \"block\"},"
        "{\"RuleTag\": \"zero\", \"port\": \"0,65535\","
        " \"outboundTag\": \"block\", \"domain\": [], \"user\": null},"
        "{\"ruleTag\": \"last\", \"network\": \"tcp,udp\","
        " \"outboundTag\": \"direct\"}, // a comma too many\n"
        "]}"), V2_OK, "one rule for each condition: %s", why);

    for (i = 0; i < v2_nelems(rows); i++) {
        is_str(route_of(rows[i].in, rows[i].host, rows[i].port, rows[i].udp,
                        NULL),
               rows[i].want, "%s, %s %u%s", rows[i].in, rows[i].host,
               rows[i].port, rows[i].udp ? " udp" : "");
    }
}


/* A private address passes by the first match only, and only if that has an
 * ip condition. */
static void
test_private(void)
{
    is_int(compile(
        "{\"rules\": ["
        "{\"ip\": [\"127.0.0.1\", \"::1\", \"10.0.0.0/8\"],"
        " \"outboundTag\": \"direct\"},"
        "{\"network\": \"tcp,udp\", \"outboundTag\": \"direct\"}]}"), V2_OK,
        "loopback is allowed: %s", why);

    is_str(route_of("n", "127.0.0.1", 80, TCP, NULL), "direct any ip, rule 1",
           "allowed");
    is_str(route_of("n", "::1", 80, TCP, NULL), "direct any ip, rule 1",
           "allowed as IPv6");
    is_str(route_of("n", "127.0.0.2", 80, TCP, NULL),
           "block, private address", "its neighbour is not");
    is_str(route_of("n", "localhost", 80, TCP, NULL), "direct any, rule 2",
           "a name passes the ip rule over");
    is_str(route_of("n", "localhost", 80, TCP, "127.0.0.1"),
           "direct any ip, rule 1", "... and meets it when resolved");
    is_str(route_of("n", "localhost", 80, TCP, "127.0.0.2"),
           "block, private address", "... or does not");
    is_str(route_of("n", "2002:a00:1::1", 80, TCP, NULL),
           "block, private address", "6to4 needs a rule of its own");

    is_int(compile(
        "{\"rules\": ["
        "{\"network\": \"tcp\", \"outboundTag\": \"direct\"},"
        "{\"ip\": \"geoip:private\", \"outboundTag\": \"direct\"}]}"), V2_OK,
        "an ip rule behind a catch-all: %s", why);

    is_str(route_of("n", "127.0.0.1", 80, TCP, NULL),
           "block, private address", "is never reached");
    is_str(route_of("n", "127.0.0.1", 80, UDP, NULL),
           "direct any ip, rule 2", "... except where the first stops");
}


static void
test_first_outbound(void)
{
    is_int(compile_all(NULL, "[{\"tag\": \"IPv6_out\", \"protocol\":"
        "\"freedom\", \"settings\": {\"domainStrategy\": \"UseIPv6\"}}]",
        NULL), V2_OK, "an outbound file: %s", why);
    is_str(route_of("n", "name.example", 80, TCP, NULL),
           "direct 6, IPv6_out", "its first entry takes the rest");

    is_int(compile_all(NULL, "[{\"tag\": \"block\", \"protocol\":"
        "\"blackhole\"}]", NULL), V2_OK, "blackhole alone: %s", why);
    is_str(route_of("n", "name.example", 80, TCP, NULL), "block, block",
           "blocks all");
}


/* No byte of a block can be changed so that the check passes and the search
 * reads outside it (a sanitizer would see). */
static void
test_damage(void)
{
    int       passed;
    uint8_t  *copy;
    size_t    i, len, bit;
    void     *whole;

    is_int(compile(shipped), V2_OK, "compile: %s", why);

    whole = block;
    len = block_len;
    copy = malloc(len);

    if (copy == NULL) {
        exit(2);
    }

    for (i = 0; i < len; i++) {
        memcpy(copy, whole, len);

        if (v2_router.check(copy, i) == V2_OK) {
            fail("a block cut at %zu passes", i);
        }
    }

    passed = 0;
    block = copy;

    for (i = 0; i < len; i++) {
        for (bit = 0; bit < 8; bit++) {
            memcpy(copy, whole, len);
            copy[i] ^= (uint8_t) (1u << bit);

            if (v2_router.check(copy, len) == V2_OK) {
                (void) route_of("n", "10.0.0.1", 1, TCP, NULL);
                (void) route_of("n", "2001:db8::1", 1, UDP, NULL);
                (void) route_of("n", "name", 1, UDP, NULL);
                passed++;
            }
        }
    }

    pass("%d of %zu damaged blocks pass the check and are safe", passed,
         len * 8);

    block = whole;
    free(copy);
}


int
main(void)
{
    test_no_rules();
    test_shipped();
    test_conditions();
    test_private();
    test_first_outbound();
    test_damage();

    free(block);

    return done_testing();
}
