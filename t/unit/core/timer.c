/* Timers against a sorted model, and what handlers may do. The clock is
 * set, nothing sleeps. */
/* needs: src/core/v2_timer.c src/core/v2_time.c src/core/v2_log.c */
/* needs: src/core/v2_core.c */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_time.h"
#include "v2_timer.h"

#include "../tap.h"

#define TIMERS      3000

typedef struct {
    v2_timer_t  timer;
    unsigned    fired;
    uint64_t    want;               /* 0: not armed */
} item_t;

static item_t    items[TIMERS];
static uint64_t  last_ms, fired_n, disorder;
static uint32_t  seed = 12345;


static uint32_t
rnd(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;

    return (seed >> 8) % n;
}


static void
on_fire(v2_timer_t *t)
{
    item_t  *it;

    it = v2_containerof(t, item_t, timer);

    disorder += it->want == 0 || t->at_ms != it->want || t->at_ms < last_ms
                || t->at_ms > v2_now_ms() || v2_timer_armed(t);
    last_ms = t->at_ms;
    it->want = 0;
    it->fired++;
    fired_n++;
}


static void
test_random(void)
{
    unsigned  i, k, late, round;
    uint64_t  now, next;

    now = 1000000;

    for (i = 0; i < TIMERS; i++) {
        items[i].timer.fire = on_fire;
    }

    late = 0;

    for (round = 0; round < 300; round++) {
        v2_time_set(now);

        for (k = 0; k < 200; k++) {
            i = rnd(TIMERS);

            if (rnd(4) == 0) {
                v2_timer_del(&items[i].timer);
                items[i].want = 0;

            } else {
                items[i].want = now + rnd(2000);
                v2_timer_add(&items[i].timer, items[i].want);
            }
        }

        next = UINT64_MAX;

        for (i = 0; i < TIMERS; i++) {
            if (items[i].want != 0) {
                next = v2_min(next, items[i].want);
            }
        }

        late += v2_timer_next(now, 5000) != (next <= now ? 0 : next - now);

        now += rnd(40);
        v2_time_set(now);
        last_ms = 0;
        v2_timer_expire(now);

        for (i = 0; i < TIMERS; i++) {
            late += (items[i].want != 0) != v2_timer_armed(&items[i].timer);
            late += items[i].want != 0 && items[i].want <= now;
        }
    }

    is_int(late, 0, "each is armed as long as it should be");
    is_int(disorder, 0, "and fires once, in order, not before its time");
    ok(fired_n > 1000, "%llu did", (unsigned long long) fired_n);

    for (i = 0; i < TIMERS; i++) {
        v2_timer_del(&items[i].timer);
        v2_timer_del(&items[i].timer);
    }

    is_int(v2_timer_next(now, 777), 777, "none is left: the cap");
}


static v2_timer_t  one, two;
static unsigned    ones, twos;


static void
on_one(v2_timer_t *t)
{
    ones++;
    v2_timer_del(&two);
    v2_timer_add(t, 0);
}


static void
on_two(v2_timer_t *t)
{
    (void) t;
    twos++;
}


static void
test_handlers(void)
{
    one.fire = on_one;
    two.fire = on_two;

    v2_timer_add(&one, 10);
    v2_timer_add(&two, 10);
    v2_timer_add(&two, 11);
    v2_timer_expire(9);
    is_int(ones + twos, 0, "nothing is due");
    v2_timer_expire(20);
    is_int(twos, 0, "a handler deletes one that is due");
    is_int(ones, 1000, "one that re-arms itself does not stop the loop");
    ok(v2_timer_armed(&one), "and is armed still");
    v2_timer_del(&one);
    ok(!v2_timer_armed(&one), "until it is deleted");
    is_int(v2_timer_next(0, 50), 50, "then nothing is");
}


static void
test_time(void)
{
    uint64_t  ns;

    v2_time_set(1234567);
    is_int(v2_now_ms(), 1234567, "a set clock stands");
    is_int(v2_now_s(), 1234, "in seconds");
    is_int(v2_now_ns(), 1234567000000ll, "in nanoseconds");
    v2_time_set(1);
    is_int(v2_now_s(), 1, "seconds are never 0");

    v2_time_set(0);
    ns = v2_now_ns();
    v2_time_update();
    ok(v2_now_ns() >= ns && ns != 0, "and runs again");
    ok(v2_wall_s() > 1700000000, "the wall clock is of this century");
}


int
main(void)
{
    test_random();
    test_handlers();
    test_time();

    return done_testing();
}
