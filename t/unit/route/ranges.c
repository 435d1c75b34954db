/* Lists of address ranges against a list that is searched one by one. */
/* needs: src/core/v2_addr.c src/core/v2_log.c src/core/v2_time.c */
/* needs: src/core/v2_core.c */

#include "../../../src/route/v2_route_ranges.c"

#include "../tap.h"


static uint32_t           seed = 7;
static v2_route_ranges_t  ip4 = { .width = 4 }, ip6 = { .width = 16 };


static uint32_t
any(void)
{
    seed = seed * 1664525u + 1013904223u;

    return seed ^ seed >> 16;
}


static int
has(const char *text)
{
    v2_addr_t           a;
    v2_route_ranges_t  *r;

    memset(&a, 0, sizeof(a));

    if (v2_addr_parse(&a, text) != V2_OK) {
        return -1;
    }

    r = a.family == 4 ? &ip4 : &ip6;

    return v2_route_ranges_has(r->data, r->n, r->width, a.ip);
}


static void
clear(void)
{
    ip4.n = ip6.n = 0;
}


static v2_range_e
add(const char *text)
{
    return v2_route_ranges_add(&ip4, &ip6, text);
}


static void
sort(void)
{
    v2_route_ranges_sort(&ip4);
    v2_route_ranges_sort(&ip6);
}


static void
test_forms(void)
{
    ok(has("1.2.3.4") == 0 && has("::1") == 0, "an empty list has nothing");

    (void) add("10.1.2.3/8");
    (void) add("192.0.2.7");
    (void) add("::ffff:172.16.0.0/108");
    (void) add("2001:db8::/32");
    (void) add("0.0.0.0/32");
    (void) add("255.255.255.255");
    sort();

    is_int(ip4.n, 5, "ranges of IPv4");
    is_int(ip6.n, 1, "ranges of IPv6");
    ok(has("10.0.0.0") && has("10.255.255.255"), "bits behind a prefix go");
    ok(!has("9.255.255.255") && !has("11.0.0.0"), "... and no further");
    ok(has("192.0.2.7") && !has("192.0.2.6") && !has("192.0.2.8"),
       "one address");
    ok(has("172.16.0.0") && has("172.31.255.255") && !has("172.32.0.0"),
       "a v4-mapped CIDR is IPv4");
    ok(has("::ffff:10.0.0.1"), "a v4-mapped address too");
    ok(has("2001:db8::") && has("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")
       && !has("2001:db9::"), "IPv6");
    ok(has("0.0.0.0") && !has("0.0.0.1") && has("255.255.255.255"),
       "both ends of all addresses");

    clear();
    (void) add("0.0.0.0/0");
    sort();
    ok(has("0.0.0.0") && has("255.255.255.255") && !has("::"),
       "0.0.0.0/0 is all of IPv4");

    clear();
    (void) add("::/0");
    sort();
    ok(!has("1.1.1.1") && has("::") && has("ffff::ffff"),
       "::/0 is all of IPv6");
}


static void
test_joined(void)
{
    clear();
    (void) add("10.0.0.0/8");
    (void) add("10.5.0.0/16");
    (void) add("10.0.0.0/9");
    (void) add("11.0.0.0/8");
    (void) add("10.0.0.0/8");
    sort();
    is_int(ip4.n, 2, "what overlaps is one range");
    ok(has("10.5.1.1") && has("10.255.0.1") && has("11.0.0.0"), "... whole");
}


/* Each IPv4 network that v2_addr_private() refuses is in geoip:private, so
 * that a rule with it can allow them all. */
static void
test_private(void)
{
    int        i, k, n, in, priv;
    v2_addr_t  a;

    clear();
    is_int(add("GeoIP:Private"), V2_RANGE_OK, "geoip:private");
    sort();

    n = 0;
    memset(&a, 0, sizeof(a));
    a.family = 4;

    for (i = 0; i < 200000; i++) {
        for (k = 0; k < 4; k++) {
            a.ip[k] = (uint8_t) any();
        }

        in = v2_route_ranges_has(ip4.data, ip4.n, 4, a.ip);
        priv = v2_addr_private(&a);
        n += !priv || in;
    }

    is_int(n, i, "covers what is refused by default");
    ok(has("::1") && has("fd00:ec2::254") && has("fe80::1") && has("ff02::1"),
       "IPv6 too");
    ok(!has("8.8.8.8") && !has("2606:4700::1"), "and not the internet");
}


static void
test_random(void)
{
    char      text[64];
    int       i, k, round, wrong, naive;
    uint8_t   ip[4];
    uint32_t  x, probe, net[40], mask[40];

    wrong = 0;

    for (round = 0; round < 200; round++) {
        clear();

        for (i = 0; i < 40; i++) {
            k = (int) (any() % 33);
            mask[i] = k == 0 ? 0 : UINT32_MAX << (32 - k);
            mask[i] |= round % 2 ? 0xfff00000 : 0;
            net[i] = any() & mask[i];

            for (k = 0; k < 32 && mask[i] << k; k++) { /* void */ }

            snprintf(text, sizeof(text), "%u.%u.%u.%u/%d", net[i] >> 24,
                     net[i] >> 16 & 255, net[i] >> 8 & 255, net[i] & 255, k);
            wrong += add(text) != V2_RANGE_OK;
        }

        sort();

        for (k = 0; k < 200; k++) {
            x = any() % 40;
            probe = k % 2 ? any() : net[x] + (any() % 3 - 1)
                                    + (k % 4 ? 0 : ~mask[x]);
            naive = 0;

            for (i = 0; i < 40; i++) {
                naive |= (probe & mask[i]) == net[i];
            }

            ip[0] = (uint8_t) (probe >> 24);
            ip[1] = (uint8_t) (probe >> 16);
            ip[2] = (uint8_t) (probe >> 8);
            ip[3] = (uint8_t) probe;

            wrong += v2_route_ranges_has(ip4.data, ip4.n, 4, ip) != naive;
        }
    }

    is_int(wrong, 0, "40000 probes agree with a search one by one");
}


static void
test_refused(void)
{
    size_t  i;

    static const char *const  bad[] = {
        "", "/8", "1.2.3.4/", "1.2.3.4/x", "1.2.3.4/-1", "1.2.3.4/33",
        "1.2.3.4/0008", "1.2.3.4/8/8", "1.2.3", "::/129", ":", "name",
        "geoip:", "geoip", "1.2.3.4-1.2.3.5", "[::1]", "fe80::1%lo",
        "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/1",
    };
    static const char *const  later[] = {
        "geoip:cn", "geoip:!private", "!1.2.3.4", "ext:a:b", "EXT-IP:a:b",
    };

    clear();

    for (i = 0; i < v2_nelems(bad); i++) {
        is_int(add(bad[i]), V2_RANGE_BAD, "bad: \"%s\"", bad[i]);
    }

    for (i = 0; i < v2_nelems(later); i++) {
        is_int(add(later[i]), V2_RANGE_LATER, "later: \"%s\"", later[i]);
    }

    ok(ip4.n == 0 && ip6.n == 0, "and nothing was added");
}


int
main(void)
{
    test_forms();
    test_joined();
    test_private();
    test_random();
    test_refused();

    free(ip4.data);
    free(ip6.data);

    return done_testing();
}
