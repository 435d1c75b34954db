/* What the three Xray-format files may say, and the line that a refusal
 * leaves: it names the file's key, the rule, the key, the value and what is
 * possible. */
/* needs: src/route/v2_route.c src/route/v2_route_compile.c */
/* needs: src/route/v2_route_json.c src/route/v2_route_default.c */
/* needs: src/route/v2_route_ranges.c src/core/v2_conf_json.c */
/* needs: src/core/v2_flat.c src/core/v2_addr.c src/core/v2_log.c */
/* needs: src/core/v2_time.c src/core/v2_core.c */
/* libs: -ljansson */

#include "route_test.h"

#define KEYS  "type, ruleTag, outboundTag, network, inboundTag, port, ip"
#define TAGS  "\"direct\", \"block\", \"IPv4_out\", \"IPv6_out\""
#define IPS   "addresses, CIDRs and \"geoip:private\""


static void
test_rules(void)
{
    char    text[1024], want[512];
    size_t  i;

    /* the rule, and the message behind 'RouteConfigPath: rule 2' */

    static const char *const  rows[][2] = {
        { "{\"domain\": [\"geosite:cn\"], \"outboundTag\": \"block\"}",
          ": \"domain\": [\"geosite:cn\"] is not built yet; possible are "
          KEYS },
        { "{\"ruleTag\": \"bt\", \"protocol\": [\"bittorrent\"]}",
          " \"bt\": \"protocol\": [\"bittorrent\"] is not built yet; "
          "possible are " KEYS },
        { "{\"balancerTag\": \"b\"}",
          ": \"balancerTag\": \"b\" is not built yet; possible are " KEYS },
        { "{\"source\": \"1.2.3.4\"}",
          ": \"source\": \"1.2.3.4\" is not built yet; possible are " KEYS },
        { "{\"User\": [\"a\"]}",
          ": \"User\": [\"a\"] is not built yet; possible are " KEYS },
        { "{\"ipp\": \"1.2.3.4\"}",
          ": \"ipp\": \"1.2.3.4\" is unknown; possible are " KEYS },
        { "{\"ipp\": []}", ": \"ipp\": [] is unknown; possible are " KEYS },
        { "{\"type\": \"chinaip\"}",
          ": \"type\": \"chinaip\" is unknown; possible is \"field\"" },
        { "{\"port\": 1}", ": has no \"outboundTag\"" },
        { "{\"port\": 1, \"outboundTag\": \"\"}",
          ": has no \"outboundTag\"" },
        { "{\"port\": 1, \"outboundTag\": \"warp\"}",
          ": \"outboundTag\": \"warp\" is unknown; possible are " TAGS },
        { "{\"port\": 1, \"outboundTag\": \"Block\"}",
          ": \"outboundTag\": \"Block\" is unknown; possible are " TAGS },
        { "{\"port\": 1, \"outboundTag\": \"socks5-warp\"}",
          ": \"outboundTag\": \"socks5-warp\" is not built yet; possible "
          "are " TAGS },
        { "{\"outboundTag\": \"block\"}",
          ": has no condition; \"network\": \"tcp,udp\" is the one that "
          "matches all" },
        { "{\"ip\": [], \"outboundTag\": \"block\"}",
          ": has no condition; \"network\": \"tcp,udp\" is the one that "
          "matches all" },
        { "{\"ip\": \"geoip:cn\", \"outboundTag\": \"block\"}",
          ": \"ip\": \"geoip:cn\" is not built yet; possible are " IPS },
        { "{\"ip\": \"geoip:!private\", \"outboundTag\": \"block\"}",
          ": \"ip\": \"geoip:!private\" is not built yet; possible are "
          IPS },
        { "{\"ip\": \"ext:f.dat:x\", \"outboundTag\": \"block\"}",
          ": \"ip\": \"ext:f.dat:x\" is not built yet; possible are " IPS },
        { "{\"ip\": [\"1.2.3.4\", \"1.2.3\"], \"outboundTag\": \"block\"}",
          ": \"ip\": \"1.2.3\" is unknown; possible are " IPS },
        { "{\"ip\": \"1.2.3.4/33\", \"outboundTag\": \"block\"}",
          ": \"ip\": \"1.2.3.4/33\" is unknown; possible are " IPS },
        { "{\"ip\": \"1.2.3.4/\", \"outboundTag\": \"block\"}",
          ": \"ip\": \"1.2.3.4/\" is unknown; possible are " IPS },
        { "{\"ip\": \"::/129\", \"outboundTag\": \"block\"}",
          ": \"ip\": \"::/129\" is unknown; possible are " IPS },
        { "{\"ip\": \"a\\nb\", \"outboundTag\": \"block\"}",
          ": \"ip\": \"a?b\" is unknown; possible are " IPS },
        { "{\"ip\": 1, \"outboundTag\": \"block\"}",
          ": \"ip\": 1 must be a list of " IPS },
        { "{\"ip\": [1], \"outboundTag\": \"block\"}",
          ": \"ip\": [1] must be a list of " IPS },
        { "{\"network\": \"icmp\", \"outboundTag\": \"block\"}",
          ": \"network\": \"icmp\" is unknown; possible are \"tcp\", "
          "\"udp\", \"tcp,udp\"" },
        { "{\"inboundTag\": 7, \"outboundTag\": \"block\"}",
          ": \"inboundTag\": 7 must be a node's tag or a list of tags" },
        { "{\"port\": 1, \"Port\": 2}", ": \"Port\" is given twice" },
        { "7", ": must be an object" },
    };
    static const char *const  ports[] = {
        "-1", "65536", "1.5", "true", "\"a\"", "\"1-\"", "\"-1\"",
        "\"2-1\"", "\"1,,2\"", "\"1;2\"", "\"1-2-3\"", "[1]",
        "\"99999999999\"", "\"env:X\"",
    };

    for (i = 0; i < v2_nelems(rows); i++) {
        snprintf(text, sizeof(text), "{\"rules\": [{\"port\": 1, "
                 "\"outboundTag\": \"direct\"}, %s]}", rows[i][0]);
        snprintf(want, sizeof(want), "RouteConfigPath: rule 2%s", rows[i][1]);
        is_int(compile(text), V2_ERROR, "refused: %s", rows[i][0]);
        is_str(why, want, "... and why");
    }

    for (i = 0; i < v2_nelems(ports); i++) {
        snprintf(text, sizeof(text), "{\"rules\": [{\"port\": %s, "
                 "\"outboundTag\": \"block\"}]}", ports[i]);
        snprintf(want, sizeof(want), "RouteConfigPath: rule 1: \"port\": %s "
                 "is not possible; possible are 0 to 65535, as a number or "
                 "as a text like \"53,443,1000-2000\"", ports[i]);
        is_int(compile(text), V2_ERROR, "refused: port %s", ports[i]);
        is_str(why, want, "... and why");
    }
}


static void
test_top(void)
{
    size_t  i;

    static const char *const  rows[][2] = {
        { "{\"domainStrategy\": \"IPIfNonMatch\"}",
          "\"domainStrategy\": \"IPIfNonMatch\" is not built yet; possible "
          "is \"AsIs\"" },
        { "{\"domainStrategy\": \"iponDEMAND\"}",
          "\"domainStrategy\": \"iponDEMAND\" is not built yet; possible is "
          "\"AsIs\"" },
        { "{\"domainStrategy\": \"x\"}",
          "\"domainStrategy\": \"x\" is unknown; possible is \"AsIs\"" },
        { "{\"balancers\": [{}]}",
          "\"balancers\": [{}] is not built yet; possible are "
          "domainStrategy, rules" },
        { "{\"rule\": [{}]}",
          "\"rule\": [{}] is unknown; possible are domainStrategy, rules" },
        { "{\"rule\": []}",
          "\"rule\" is unknown; possible are domainStrategy, rules" },
        { "[]", "must be an object with \"rules\"" },
        { "{\"rules\": {\"a\": 1}}",
          "\"rules\": {\"a\":1} must be a list of at most 65536 rules" },
    };

    for (i = 0; i < v2_nelems(rows); i++) {
        is_int(compile(rows[i][0]), V2_ERROR, "refused: %s", rows[i][0]);
        ok(strncmp(why, "RouteConfigPath: ", 17) == 0, "... by its key");
        is_str(why + 17, rows[i][1], "... and why");
    }

    is_int(compile("{\"balancers\": [], \"domainMatcher\": \"\"}"), V2_OK,
           "keys at their defaults are accepted: %s", why);

    is_int(compile("{\n\n  \"rules\": [}"), V2_ERROR, "not JSON");
    ok(strstr(why, "RouteConfigPath: line 3, column") == why,
       "... names the line: %s", why);
    is_int(compile("{\n /* never closed "), V2_ERROR, "an open comment");
    is_str(why, "RouteConfigPath: line 2: a comment is not closed",
           "... names the line");
    is_int(compile("{\"rules\": [], \"rules\": []}"), V2_ERROR,
           "a key given twice");
    is_int(compile("   "), V2_ERROR, "blanks only");
}


#define V4  "{\"tag\": \"IPv4_out\", \"protocol\": \"freedom\", " \
            "\"settings\": {\"domainStrategy\": \"UseIPv4v6\"}}"
#define V6  "{\"protocol\": \"freedom\", \"tag\": \"IPv6_out\", " \
            "\"settings\": {\"domainStrategy\": \"UseIPv6\"}}"
#define BLK "{\"tag\": \"block\", \"protocol\": \"blackhole\"}"
#define WRP "{\"tag\": \"socks5-warp\", \"protocol\": \"socks\", " \
            "\"settings\": {\"servers\": [{\"address\": \"127.0.0.1\", " \
            "\"port\": 40000}]}}"


static void
test_outbounds(void)
{
    size_t  i;

    static const char *const  good[] = {
        "[" V4 "," V6 "," BLK "]", "[" V4 "," V6 "," WRP "," BLK "]",
        "[" BLK ", " V4 "]", "[]", "[" V6 ", ] // Xray takes comments",
        "[{\"tag\": \"block\", \"protocol\": \"blackhole\", \"settings\": "
        "{\"response\": {\"type\": \"none\"}}}]",
        "[{\"tag\": \"direct\", \"protocol\": \"freedom\", "
        "\"settings\": {}}]",
        "[{\"tag\": \"direct\", \"protocol\": \"Freedom\", "
        "\"settings\": {\"domainStrategy\": \"AsIs\"}, \"mux\": null}]",
    };
    static const char *const  bad[][2] = {
        { "{}", ": must be a list of outbounds" },
        { "[7]", ": outbound 1: must be an object" },
        { "[{\"tag\": \"wg\", \"protocol\": \"wireguard\"}]",
          ": outbound 1 \"wg\": is not built yet; possible are the shipped "
          "\"IPv4_out\", \"IPv6_out\", \"block\" and \"direct\"" },
        { "[" V4 "," V4 "]", ": outbound 2 \"IPv4_out\": is given twice" },
        { "[" WRP "]", ": outbound 1 \"socks5-warp\": is not built yet and "
          "cannot be the first, which takes what no rule matches" },
        { "[{\"tag\": \"IPv4_out\", \"protocol\": \"freedom\"}]",
          ": outbound 1 \"IPv4_out\": has no \"settings\"; possible are "
          "those of the shipped file" },
        { "[{\"tag\": \"IPv4_out\", \"protocol\": \"freedom\", "
          "\"settings\": {}}]",
          ": outbound 1 \"IPv4_out\": has no \"settings\"; possible are "
          "those of the shipped file" },
        { "[{\"tag\": \"IPv4_out\", \"protocol\": \"freedom\", "
          "\"settings\": {\"domainStrategy\": \"UseIPv6\"}}]",
          ": outbound 1 \"IPv4_out\": \"domainStrategy\": \"UseIPv6\" is "
          "not built yet; possible is \"UseIPv4v6\"" },
        { "[{\"tag\": \"block\", \"protocol\": \"freedom\"}]",
          ": outbound 1 \"block\": \"protocol\": \"freedom\" is not built "
          "yet; possible is \"blackhole\"" },
        { "[{\"tag\": \"direct\", \"protocol\": \"freedom\", "
          "\"sendThrough\": \"127.0.0.3\"}]",
          ": outbound 1 \"direct\": \"sendThrough\": \"127.0.0.3\" is not "
          "built yet" },
        { "[{\"tag\": \"direct\", \"protocol\": \"freedom\", "
          "\"settings\": {\"redirect\": \"x:1\"}}]",
          ": outbound 1 \"direct\": \"redirect\": \"x:1\" is not built "
          "yet" },
        { "[{\"tag\": \"direct\"}]",
          ": outbound 1 \"direct\": has no \"protocol\"" },
    };

    for (i = 0; i < v2_nelems(good); i++) {
        is_int(compile_all(NULL, good[i], NULL), V2_OK, "outbounds %zu: %s",
               i, why);
    }

    for (i = 0; i < v2_nelems(bad); i++) {
        is_int(compile_all(NULL, bad[i][0], NULL), V2_ERROR, "refused: %s",
               bad[i][0]);
        ok(strncmp(why, "OutboundConfigPath", 18) == 0, "... by its key");
        is_str(why + 18, bad[i][1], "... and why");
    }
}


static void
test_dns(void)
{
    size_t  i;

    static const char *const  good[] = {
        "{\"servers\":[\"1.1.1.1\",\"8.8.8.8\",\"localhost\"],"
        "\"tag\":\"dns_inbound\"}",
        "{ /* */ \"tag\": \"dns_inbound\", \"servers\": [\"1.1.1.1\", "
        "\"8.8.8.8\", \"localhost\",], \"hosts\": {} }",
        "{}", "{\"servers\": [\"localhost\"], \"disableCache\": false}",
    };
    static const char *const  bad[] = {
        "[]", "{\"servers\": [\"9.9.9.9\"]}", "{\"tag\": \"x\"}",
        "{\"servers\": [{\"address\": \"1.1.1.1\"}]}",
        "{\"hosts\": {\"a\": \"1.2.3.4\"}}", "{\"queryStrategy\": \"UseIP\"}",
        "{\"servers\": [\"1.1.1.1\", \"8.8.8.8\", \"localhost\", \"x\"]}",
        "{\"servers\": [\"8.8.8.8\", \"1.1.1.1\"]}", "nonsense",
    };

    for (i = 0; i < v2_nelems(good); i++) {
        is_int(compile_all(NULL, NULL, good[i]), V2_OK, "dns %zu: %s", i,
               why);
    }

    for (i = 0; i < v2_nelems(bad); i++) {
        is_int(compile_all(NULL, NULL, bad[i]), V2_ERROR, "refused: %s",
               bad[i]);
        ok(strncmp(why, "DnsConfigPath: ", 15) == 0, "... so: %s", why);
    }
}


/* The message is cut to its room, whatever the file has. */
static void
test_room(void)
{
    char       small[16];
    v2_int_t   rc;
    v2_ref_t   ref;
    v2_flat_t  flat;

    static const char  text[] = "{\"unknown\": 1}";

    v2_flat_init(&flat);
    memset(small, 'x', sizeof(small));
    rc = v2_router.compile(&flat, &ref, text, strlen(text), NULL, 0, NULL, 0,
                           small, 8);
    is_int(rc, V2_ERROR, "refused");
    is_str(small, "RouteCo", "the message is cut");
    is_int(small[8], 'x', "and nothing behind its room is touched");
    v2_flat_done(&flat);
}


int
main(void)
{
    test_rules();
    test_top();
    test_outbounds();
    test_dns();
    test_room();

    free(block);

    return done_testing();
}
