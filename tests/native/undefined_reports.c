/*
 * Where UBSan writes, beside ASan: gcc's library then takes no notice of its option `log_path`, and
 * a test runner swallows what goes to standard error. So it is told by a call, when the module of
 * `make sanitize` is loaded.
 */
#include <dlfcn.h>
#include <stdlib.h>

__attribute__((constructor)) static void set_report_path(void)
{
    const char *path = getenv("GADGETIP_UBSAN_REPORTS");
    void *library = dlopen("libubsan.so.1", RTLD_NOW | RTLD_NOLOAD);
    if (path == NULL || library == NULL)
        return;
    void (*set)(const char *) =
        (void (*)(const char *))dlsym(library, "__sanitizer_set_report_path");
    if (set != NULL)
        set(path);
}
