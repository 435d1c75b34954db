/* The one cached clock of a process. v2_time_update() is called once per loop
 * turn; everybody else reads the cached values. */

#ifndef V2_TIME_H
#define V2_TIME_H

void      v2_time_update(void);
uint64_t  v2_now_ms(void);      /* monotonic */
uint64_t  v2_now_ns(void);      /* monotonic, the bucket clock */
uint32_t  v2_now_s(void);       /* monotonic seconds, never 0 */
time_t    v2_wall_s(void);      /* wall clock, for logs and reports */

/* Tests only: fixes the monotonic clock; 0 lets it run again. */
void      v2_time_set(uint64_t ms);

#endif
