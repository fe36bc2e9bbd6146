//! The data of the example `orders` is what its generator makes.

#![forbid(unsafe_code)]

#[path = "../examples/orders/generator.rs"]
mod generator;

#[test]
fn orders_csv_is_what_the_generator_makes() {
    // A checkout on Windows may have rewritten the line ends.
    let file = include_str!("../examples/orders/orders.csv").replace("\r\n", "\n");
    let made = generator::csv();
    for (number, (file, made)) in (1..).zip(file.lines().zip(made.lines())) {
        assert_eq!(file, made, "line {number} of orders.csv");
    }
    assert_eq!(
        file.len(),
        made.len(),
        "orders.csv has more or fewer lines than the generator makes"
    );
}
