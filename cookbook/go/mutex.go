// A hundred goroutines count, under a mutex.
package main

import (
	"fmt"
	"sync"
)

func main() {
	var mu sync.Mutex
	counts := map[string]int{}
	var wg sync.WaitGroup
	for i := 0; i < 100; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			mu.Lock()
			defer mu.Unlock()
			if i%2 == 0 {
				counts["even"]++
			} else {
				counts["odd"]++
			}
		}(i)
	}
	wg.Wait()
	fmt.Println("even:", counts["even"], "odd:", counts["odd"])
}
