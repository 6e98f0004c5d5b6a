//! Where memory comes from. Storms make and drop very many small things on many threads, for which the system's
//! allocator takes a third of all the work.

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
