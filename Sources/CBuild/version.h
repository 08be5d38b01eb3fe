/// The one place where the version stands: the programs, the pages and the package have it from here.
#define LIMPET_RELEASE "0.1.0"
