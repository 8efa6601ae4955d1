// Three workers share a channel of jobs.
package main

import (
	"fmt"
	"sync"
)

func main() {
	jobs, results := make(chan int), make(chan int)
	var wg sync.WaitGroup
	for w := 0; w < 3; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for job := range jobs {
				results <- 2 * job
			}
		}()
	}
	go func() {
		for job := 1; job <= 100; job++ {
			jobs <- job
		}
		close(jobs)
		wg.Wait()
		close(results)
	}()
	sum := 0
	for r := range results {
		sum += r
	}
	fmt.Println("sum:", sum)
}
