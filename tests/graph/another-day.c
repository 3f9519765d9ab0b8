/* Loaded into every program of an image (/etc/ld.so.preload): the clock that they read is DAYS ahead. */

#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int now(clockid_t clock, struct timespec *at)
{
	int failed = syscall(SYS_clock_gettime, clock, at);

	if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		at->tv_sec += DAYS * 86400L;
	return failed;
}

int clock_gettime(clockid_t clock, struct timespec *at)
{
	return now(clock, at);
}

int timespec_get(struct timespec *at, int base)
{
	return base == TIME_UTC && !now(CLOCK_REALTIME, at) ? base : 0;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
	struct timespec precise;

	if (now(CLOCK_REALTIME, &precise))
		return -1;
	at->tv_sec = precise.tv_sec;
	at->tv_usec = precise.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *at)
{
	struct timespec precise;

	if (now(CLOCK_REALTIME, &precise))
		return -1;
	if (at)
		*at = precise.tv_sec;
	return precise.tv_sec;
}
