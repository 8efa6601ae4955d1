// A producer, a channel with room for two, and a consumer that ends with the channel.
package main

import "fmt"

func main() {
	numbers := make(chan int, 2)
	go func() {
		defer close(numbers)
		for i := 1; i <= 5; i++ {
			numbers <- i
		}
	}()
	sum := 0
	for n := range numbers {
		sum += n
	}
	fmt.Println("sum:", sum)
}
