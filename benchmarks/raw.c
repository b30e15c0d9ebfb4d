/* RAW: how fast a PKCS#11 module signs when nothing but C stands in front of it.
 *
 *   raw MODULE TOKEN_LABEL PIN_FILE KEY_ID THREADS SECONDS
 *
 * KEY_ID is CKA_ID in hex. Each thread has a session of its own and repeats C_SignInit and C_Sign (CKM_ECDSA over 32
 * bytes) until the time is over. The answer is one line of JSON. The few types of PKCS#11 2.40
 * that it needs are declared here, so that no package with its headers is required.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

typedef unsigned long ck_ulong;
typedef ck_ulong ck_rv;
typedef ck_rv (*ck_function)(void);

/* CK_FUNCTION_LIST: a version, then the functions in the order of the standard. */
struct function_list {
    unsigned char version[2];
    ck_function functions[68];
};
enum {
    C_INITIALIZE = 0, C_FINALIZE = 1, C_GET_SLOT_LIST = 4, C_GET_TOKEN_INFO = 6,
    C_OPEN_SESSION = 12, C_LOGIN = 18, C_FIND_OBJECTS_INIT = 26, C_FIND_OBJECTS = 27,
    C_FIND_OBJECTS_FINAL = 28, C_SIGN_INIT = 42, C_SIGN = 43
};
enum {
    CKR_OK = 0, CKU_USER = 1, CKF_OS_LOCKING_OK = 2, CKF_SERIAL_SESSION = 4,
    CKA_CLASS = 0, CKA_KEY_TYPE = 0x100, CKA_ID = 0x102, CKO_PRIVATE_KEY = 3, CKK_EC = 3,
    CKM_ECDSA = 0x1041
};
struct initialize_args { void *mutexes[4]; ck_ulong flags; void *reserved; };
struct mechanism { ck_ulong type; void *parameter; ck_ulong length; };
struct attribute { ck_ulong type; void *value; ck_ulong length; };
/* CK_TOKEN_INFO begins with the label; the rest is only room. */
struct token_info { char label[32]; unsigned char rest[480]; };

#define CALL(index, type, ...) (((ck_rv (*) type)module->functions[index])(__VA_ARGS__))
#define must(name, rv) must(name, rv)

enum { MAX_THREADS = 64, MAX_SLOTS = 64, LABEL_BYTES = 32, ID_BYTES = 64 };

static struct function_list *module;
static atomic_int stop;
static pthread_barrier_t ready;

struct worker { pthread_t thread; ck_ulong session, key; unsigned long made; };

static void must(const char *what, ck_rv rv) {
    if (rv != CKR_OK) {
        fprintf(stderr, "raw: %s: CK_RV 0x%lx\n", what, rv);
        exit(1);
    }
}

_Noreturn static void fail(const char *what) {
    fprintf(stderr, "raw: %s\n", what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec)
         + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void *sign(void *argument) {
    struct worker *worker = argument;
    struct mechanism ecdsa = {CKM_ECDSA, NULL, 0};
    unsigned char hash[32], signature[512];
    memset(hash, 0x5a, sizeof hash);
    pthread_barrier_wait(&ready);
    do { /* once at least, on a machine that stalls */
        ck_ulong length = sizeof signature;
        memcpy(hash, &worker->made, sizeof worker->made);
        must("C_SignInit", CALL(C_SIGN_INIT, (ck_ulong, struct mechanism *, ck_ulong),
                                worker->session, &ecdsa, worker->key));
        must("C_Sign", CALL(C_SIGN, (ck_ulong, unsigned char *, ck_ulong, unsigned char *, ck_ulong *),
                            worker->session, hash, sizeof hash, signature, &length));
        worker->made++;
    } while (!atomic_load_explicit(&stop, memory_order_relaxed));
    return NULL;
}

static void load(const char *path) {
    struct initialize_args args = {{NULL, NULL, NULL, NULL}, CKF_OS_LOCKING_OK, NULL};
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) fail(dlerror());
    ck_rv (*list)(struct function_list **);
    *(void **)&list = dlsym(library, "C_GetFunctionList");
    if (list == NULL) fail("the module has no C_GetFunctionList");
    must("C_GetFunctionList", list(&module));
    must("C_Initialize", CALL(C_INITIALIZE, (struct initialize_args *), &args));
}

static ck_ulong find_slot(const char *label) {
    ck_ulong slots[MAX_SLOTS], count = MAX_SLOTS;
    char padded[LABEL_BYTES];
    size_t length = strlen(label);
    if (length > LABEL_BYTES) fail("the token's label is too long");
    memset(padded, ' ', sizeof padded);
    memcpy(padded, label, length);
    must("C_GetSlotList", CALL(C_GET_SLOT_LIST, (unsigned char, ck_ulong *, ck_ulong *),
                               1, slots, &count));
    for (ck_ulong i = 0; i < count; i++) {
        struct token_info info;
        must("C_GetTokenInfo", CALL(C_GET_TOKEN_INFO, (ck_ulong, struct token_info *),
                                    slots[i], &info));
        if (memcmp(info.label, padded, sizeof padded) == 0) return slots[i];
    }
    fail("no slot holds the token");
}

static ck_ulong open_session(ck_ulong slot) {
    ck_ulong session;
    must("C_OpenSession", CALL(C_OPEN_SESSION, (ck_ulong, ck_ulong, void *, void *, ck_ulong *),
                               slot, CKF_SERIAL_SESSION, NULL, NULL, &session));
    return session;
}

static void login(ck_ulong session, const char *pin_file) {
    char pin[256];
    FILE *file = fopen(pin_file, "r");
    if (file == NULL || fgets(pin, sizeof pin, file) == NULL) fail("the PIN file cannot be read");
    fclose(file);
    pin[strcspn(pin, "\r\n")] = '\0';
    must("C_Login", CALL(C_LOGIN, (ck_ulong, ck_ulong, const char *, ck_ulong),
                         session, CKU_USER, pin, strlen(pin)));
}

static size_t from_hex(const char *text, unsigned char *bytes, size_t room) {
    size_t length = strlen(text) / 2;
    if (length == 0 || strlen(text) % 2 || length > room) fail("the key's id is not hex");
    for (size_t i = 0; i < length; i++) {
        unsigned value;
        if (sscanf(text + 2 * i, "%2x", &value) != 1) fail("the key's id is not hex");
        bytes[i] = (unsigned char)value;
    }
    return length;
}

static ck_ulong find_key(ck_ulong session, const char *id) {
    unsigned char bytes[ID_BYTES];
    size_t length = from_hex(id, bytes, sizeof bytes);
    ck_ulong class = CKO_PRIVATE_KEY, type = CKK_EC, key, count = 0;
    struct attribute wanted[] = {
        {CKA_CLASS, &class, sizeof class},
        {CKA_KEY_TYPE, &type, sizeof type},
        {CKA_ID, bytes, length},
    };
    must("C_FindObjectsInit", CALL(C_FIND_OBJECTS_INIT, (ck_ulong, struct attribute *, ck_ulong),
                                   session, wanted, 3));
    must("C_FindObjects", CALL(C_FIND_OBJECTS, (ck_ulong, ck_ulong *, ck_ulong, ck_ulong *),
                               session, &key, 1, &count));
    must("C_FindObjectsFinal", CALL(C_FIND_OBJECTS_FINAL, (ck_ulong), session));
    if (count == 0) fail("the token has no EC key of that id");
    return key;
}

int main(int argc, char **argv) {
    if (argc != 7) fail("usage: raw MODULE TOKEN_LABEL PIN_FILE KEY_ID THREADS SECONDS");
    int threads = atoi(argv[5]);
    double seconds = atof(argv[6]);
    if (threads < 1 || threads > MAX_THREADS || seconds <= 0 || seconds > 60)
        fail("1 to 64 threads, at most 60 seconds");
    struct worker workers[MAX_THREADS] = {0};
    load(argv[1]);
    ck_ulong slot = find_slot(argv[2]);
    login(open_session(slot), argv[3]);
    pthread_barrier_init(&ready, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++) {
        workers[i].session = open_session(slot);
        workers[i].key = find_key(workers[i].session, argv[4]);
        if (pthread_create(&workers[i].thread, NULL, sign, &workers[i]) != 0)
            fail("a thread does not start");
    }
    pthread_barrier_wait(&ready);
    double began = now(), used = cpu();
    struct timespec wait = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&wait, NULL);
    atomic_store(&stop, 1);
    unsigned long made = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        made += workers[i].made;
    }
    printf("{\"items\": %lu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n",
           made, now() - began, cpu() - used);
    CALL(C_FINALIZE, (void *), NULL);
    return 0;
}
