// The wall clock as somebody has set it, for one process: so many seconds are added to it as the file
// CLOCK_OFFSET_FILE says. What passes (CLOCK_MONOTONIC) stays as it is.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, id, now);
    const char *path = getenv("CLOCK_OFFSET_FILE");
    if (result == 0 && id == CLOCK_REALTIME && path != NULL) {
        FILE *file = fopen(path, "r");
        long long offset = 0;
        if (file != NULL) {
            if (fscanf(file, "%lld", &offset) == 1) now->tv_sec += offset;
            fclose(file);
        }
    }
    return result;
}
