// Waits for the first of several events, with a time limit, and looks without waiting.
package main

import (
	"fmt"
	"time"
)

func main() {
	results := make(chan string)
	select {
	case r := <-results:
		fmt.Println("got", r)
	default:
		fmt.Println("nothing yet")
	}
	go func() { results <- "a result" }()
	for i := 0; i < 2; i++ {
		select {
		case r := <-results:
			fmt.Println("got", r)
		case <-time.After(200 * time.Millisecond):
			fmt.Println("nothing for 200 ms")
		}
	}
}
