// Each result, also of those that fail.
async function load(page) {
  if (page === 2) throw new Error(`no page ${page}`);
  return `page ${page}`;
}

for (const result of await Promise.allSettled([1, 2, 3].map(load))) {
  console.log(result.status === "fulfilled" ? result.value : `failed: ${result.reason.message}`);
}

try {
  await Promise.all([1, 2, 3].map(load));
} catch (error) {
  console.log(`all: ${error.message}`);
}
