#include "CShippedProblems.h"

#pragma clang diagnostic ignored "-Wc23-extensions"  // #embed

static const unsigned char reinmax[] = {
#embed "../../Fixtures/problems/reinmax-polynomial.json"
};
static const unsigned char categorical[] = {
#embed "../../Fixtures/problems/categorical-8.json"
};
static const unsigned char mixtures[] = {
#embed "../../Fixtures/problems/mixtures-8.json"
};
static const unsigned char real_router[] = {
#embed "../../Fixtures/problems/real-router.json"
};

static const unsigned char routers[] = {
#embed "../../Fixtures/routers/catalogue.json"
};

static const rg_shipped_file files[] = {
    {"reinmax-polynomial.json", reinmax, sizeof reinmax},
    {"categorical-8.json", categorical, sizeof categorical},
    {"mixtures-8.json", mixtures, sizeof mixtures},
    {"real-router.json", real_router, sizeof real_router},
};

const rg_shipped_file *rg_shipped_files(size_t *count) {
  *count = sizeof files / sizeof *files;
  return files;
}

const rg_shipped_file *rg_shipped_routers(void) {
  static const rg_shipped_file file = {"catalogue.json", routers, sizeof routers};
  return &file;
}
