#define _GNU_SOURCE
#include "test_image.h"

#ifdef LIMPET_INJECT
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int32_t limpet_test_image(const char *key, char *value, uint32_t size) {
    static const char mark[] = "\nLIMPET-TEST-IMAGE ";
    char end[513];
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t count = lseek(file, -512, SEEK_END) < 0 ? -1 : read(file, end, 512);
    close(file);
    if (count < 0) return 0;
    end[count] = 0;
    char *line = memmem(end, (size_t)count, mark, sizeof mark - 1);
    if (!line) return 0;
    line += sizeof mark - 1;
    line[strcspn(line, "\n")] = 0;
    for (char *rest, *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        size_t length = strlen(key);
        if (strncmp(word, key, length) != 0 || word[length] != '=') continue;
        if (strlen(word + length + 1) >= size) return 0;
        strcpy(value, word + length + 1);
        return 1;
    }
    return 0;
}
#else
int32_t limpet_test_image(const char *key, char *value, uint32_t size) {
    (void)key;
    (void)value;
    (void)size;
    return 0;
}
#endif
