// At most two downloads at once. The first error stops the others, and is the result.
package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

func download(ctx context.Context, page int) error {
	select {
	case <-time.After(time.Duration(page) * 10 * time.Millisecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	if page == 3 {
		return fmt.Errorf("page %d is missing", page)
	}
	return nil
}

func main() {
	group, ctx := errgroup.WithContext(context.Background())
	group.SetLimit(2)
	for page := 1; page <= 100; page++ {
		page := page
		group.Go(func() error { return download(ctx, page) })
	}
	fmt.Println("error:", group.Wait())
}
