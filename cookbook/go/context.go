// A worker gets 50 ms. It has to look at its context in each step, and so have the functions that it calls.
package main

import (
	"context"
	"fmt"
	"time"
)

func work(ctx context.Context) error {
	defer fmt.Println("the worker has cleaned up")
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := work(ctx); err != nil {
		fmt.Println("the time is over:", err == context.DeadlineExceeded)
	}
}
