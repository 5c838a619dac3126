//! Services do not touch each other (law 9): a step is given one, and no memory but that one's.

use super::node::answer_well;
use super::script;
use super::world::World;

#[test]
fn services_do_not_touch_each_other() {
    let stories = [
        ["! apply v1 replicas=3\n! well", "! apply v2\n! well"],
        ["! apply v1 replicas=2 replace\n! well", "! stop\n! well"],
    ];
    let alone = stories.map(|story| {
        let mut world = World::new();
        story.iter().for_each(|part| script::run(&mut world, part));
        world.service
    });
    let mut together = [World::new(), World::new()];
    for part in 0..2 {
        for (world, story) in together.iter_mut().zip(stories) {
            script::run(world, story[part]);
        }
        assert!(together.iter_mut().all(|world| answer_well(world).is_empty()));
    }
    assert_eq!(alone, together.map(|world| world.service));
}
