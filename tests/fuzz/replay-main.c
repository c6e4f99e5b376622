/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main() of every fuzz target that is not linked with libFuzzer: hands over each file of the arguments, or of its seed corpus
 * (tests/fuzz/corpus/NAME for a program called fuzz-NAME), so that `make check` replays what fuzzing once found. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* A copy of exactly the file's size, so that a sanitizer sees the first byte read behind it. */
static int replay_file(const char *path) {
        FILE *f = fopen(path, "re");
        struct stat st;
        if (!f || fstat(fileno(f), &st) < 0) {
                perror(path);
                if (f)
                        (void) fclose(f);
                return -EIO;
        }
        size_t size = (size_t) st.st_size;
        uint8_t *data = malloc(size ? size : 1);
        int r = data && fread(data, 1, size, f) == size ? 0 : -EIO;
        (void) fclose(f);
        if (r < 0)
                (void) fprintf(stderr, "%s: cannot read it\n", path);
        else
                (void) LLVMFuzzerTestOneInput(data, size);
        free(data);
        return r;
}

/* Returns how many files were replayed, or negative errno. */
static int replay_dir(const char *path) {
        DIR *d = opendir(path);
        char **names = NULL;
        size_t n_names = 0, capacity = 0;
        int r = 0;
        if (!d) {
                perror(path);
                return -ENOENT;
        }
        for (const struct dirent *e; r >= 0 && (e = readdir(d));) {
                if (e->d_name[0] == '.')
                        continue;
                r = array_reserve(&names, &capacity, n_names + 1, sizeof(*names));
                if (r >= 0 && !(names[n_names++] = format_string("%s/%s", path, e->d_name)))
                        r = -ENOMEM;
        }
        (void) closedir(d);
        if (r >= 0 && n_names > 0)
                qsort(names, n_names, sizeof(*names), compare_names);
        for (size_t i = 0; i < n_names; i++) {
                if (r >= 0)
                        r = replay_file(names[i]);
                free(names[i]);
        }
        free(names);
        return r < 0 ? r : (int) n_names;
}

static int replay(const char *path) {
        struct stat st;
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
                return replay_dir(path);
        int r = replay_file(path);
        return r < 0 ? r : 1;
}

int main(int argc, char **argv) {
        int total = 0;
        if (argc < 2) {
                const char *name = strrchr(argv[0], '/'), *srcdir = getenv("srcdir");
                name = name ? name + 1 : argv[0];
                if (strncmp(name, "fuzz-", 5) != 0)
                        return EXIT_FAILURE;
                _cleanup_free_ char *dir = format_string("%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".", name + 5);
                total = dir ? replay_dir(dir) : -ENOMEM;
        }
        for (int i = 1; i < argc && total >= 0; i++) {
                int r = replay(argv[i]);
                total = r < 0 ? r : total + r;
        }
        if (total <= 0) {
                (void) fprintf(stderr, "%s: no input was replayed\n", argv[0]);
                return EXIT_FAILURE;
        }
        (void) printf("%d inputs replayed\n", total);
        return EXIT_SUCCESS;
}
