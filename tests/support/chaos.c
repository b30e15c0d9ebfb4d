/* A PKCS#11 module in front of another: it passes every call on, or late, or not at all.

   CHAOS_TARGET is the module behind, CHAOS_CONTROL a file with a rule a line:

       C_SignInit 0x32 1 0        the next call (-1: each call) returns 0x32, after 0 ms
       * - -1 600000              each call of any function is passed on, after ten minutes
       C_Sign ! 2 0               the next two signatures are not what was signed

   The file is looked at with each call and during each delay, so that to replace it ends a
   freeze. Rules that were used up stay so until it is replaced, for each process by itself.
   Needs no headers of PKCS#11: no function there takes more than eight arguments, all as wide
   as a pointer, and what is passed on beyond those that there are is never looked at. */

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EACH(F) \
    F(C_Initialize) F(C_Finalize) F(C_GetInfo) F(C_GetFunctionList) F(C_GetSlotList) \
    F(C_GetSlotInfo) F(C_GetTokenInfo) F(C_GetMechanismList) F(C_GetMechanismInfo) \
    F(C_InitToken) F(C_InitPIN) F(C_SetPIN) F(C_OpenSession) F(C_CloseSession) \
    F(C_CloseAllSessions) F(C_GetSessionInfo) F(C_GetOperationState) F(C_SetOperationState) \
    F(C_Login) F(C_Logout) F(C_CreateObject) F(C_CopyObject) F(C_DestroyObject) \
    F(C_GetObjectSize) F(C_GetAttributeValue) F(C_SetAttributeValue) F(C_FindObjectsInit) \
    F(C_FindObjects) F(C_FindObjectsFinal) F(C_EncryptInit) F(C_Encrypt) F(C_EncryptUpdate) \
    F(C_EncryptFinal) F(C_DecryptInit) F(C_Decrypt) F(C_DecryptUpdate) F(C_DecryptFinal) \
    F(C_DigestInit) F(C_Digest) F(C_DigestUpdate) F(C_DigestKey) F(C_DigestFinal) \
    F(C_SignInit) F(C_Sign) F(C_SignUpdate) F(C_SignFinal) F(C_SignRecoverInit) \
    F(C_SignRecover) F(C_VerifyInit) F(C_Verify) F(C_VerifyUpdate) F(C_VerifyFinal) \
    F(C_VerifyRecoverInit) F(C_VerifyRecover) F(C_DigestEncryptUpdate) \
    F(C_DecryptDigestUpdate) F(C_SignEncryptUpdate) F(C_DecryptVerifyUpdate) \
    F(C_GenerateKey) F(C_GenerateKeyPair) F(C_WrapKey) F(C_UnwrapKey) F(C_DeriveKey) \
    F(C_SeedRandom) F(C_GenerateRandom) F(C_GetFunctionStatus) F(C_CancelFunction) \
    F(C_WaitForSlotEvent)

typedef unsigned long word;
typedef word call(word, word, word, word, word, word, word, word);
struct list { unsigned char version[2]; call *functions[68]; };
struct rule { char name[32], code[32]; long times, milliseconds; };

static const char *const names[] = {
#define NAME(f) #f,
    EACH(NAME)
};

static struct list *behind;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all that follows */
static struct rule rules[64];
static int count;
static struct stat read_at;

static int replaced(void) {
    struct stat now;
    memset(&now, 0, sizeof now);
    stat(getenv("CHAOS_CONTROL"), &now);
    if (now.st_ino == read_at.st_ino && now.st_mtim.tv_sec == read_at.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == read_at.st_mtim.tv_nsec)
        return 0;
    read_at = now;
    return 1;
}

static void read_rules(void) {
    FILE *file = fopen(getenv("CHAOS_CONTROL"), "r");
    struct rule *rule = rules;
    while (file && rule < rules + 64 && fscanf(file, "%31s %31s %ld %ld", rule->name, rule->code,
                                               &rule->times, &rule->milliseconds) == 4)
        rule++;
    count = rule - rules;
    if (file) fclose(file);
}

/* Take the rule for this call, if there is one. */
static int take(const char *name, struct rule *taken) {
    int found = 0;
    pthread_mutex_lock(&lock);
    if (replaced()) read_rules();
    for (int i = 0; i < count && !found; i++)
        if (rules[i].times != 0 && (!strcmp(rules[i].name, name) || !strcmp(rules[i].name, "*"))) {
            if (rules[i].times > 0) rules[i].times--;
            *taken = rules[i];
            found = 1;
        }
    pthread_mutex_unlock(&lock);
    return found;
}

/* Wait, but no longer than the rules stand that say so. */
static void delay(long milliseconds) {
    ino_t inode = read_at.st_ino;
    for (long waited = 0; waited < milliseconds; waited += 5) {
        struct stat now;
        memset(&now, 0, sizeof now);
        stat(getenv("CHAOS_CONTROL"), &now);
        if (now.st_ino != inode) return;
        usleep(5000);
    }
}

static word relay(int i, word a, word b, word c, word d, word e, word f, word g, word h) {
    struct rule rule;
    if (take(names[i], &rule)) {
        delay(rule.milliseconds);
        if (!strcmp(rule.code, "!")) {
            word returned = behind->functions[i](a, b, c, d, e, f, g, h);
            if (d) *(unsigned char *)d ^= 1; /* C_Sign(session, data, length, signature, ...) */
            return returned;
        }
        if (strcmp(rule.code, "-")) return strtoul(rule.code, NULL, 0);
    }
    return behind->functions[i](a, b, c, d, e, f, g, h);
}

enum {
#define NUMBER(f) I_##f,
    EACH(NUMBER)
};
#define WRAPPER(n) \
    static word w_##n(word a, word b, word c, word d, word e, word f, word g, word h) { \
        return relay(I_##n, a, b, c, d, e, f, g, h); \
    }
EACH(WRAPPER)

static struct list ours = {{2, 40}, {
#define ADDRESS(f) w_##f,
    EACH(ADDRESS)
}};

word C_GetFunctionList(struct list **list) {
    if (!behind) {
        void *module = dlopen(getenv("CHAOS_TARGET"), RTLD_NOW | RTLD_LOCAL);
        word (*get)(struct list **) = module ? dlsym(module, "C_GetFunctionList") : NULL;
        if (!get || get(&behind)) return 5; /* CKR_GENERAL_ERROR */
    }
    *list = &ours;
    return 0;
}
